"""The scripts are sent whole, without lines of comment, and Redis can compile them."""

import pytest

from evmon._transports.redis import scripts

SCRIPTS = {
    name: text
    for name, text in vars(scripts).items()
    if name.isupper() and not name.startswith("_")
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_compiles(client, name):
    assert 40 == len(client.script_load(SCRIPTS[name]))


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_line_of_comment_is_sent(name):
    lines = [line.strip() for line in SCRIPTS[name].splitlines()]

    assert [] == [line for line in lines if line.startswith("--")]
