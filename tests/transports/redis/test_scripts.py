"""The scripts are sent whole, without lines of comment, and Redis can compile them."""

import pytest

from evmon._transports.redis import scripts

SCRIPTS = {
    name: value
    for name, value in vars(scripts).items()
    if isinstance(value, scripts.Script)
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_compiles(client, name):
    assert 40 == len(client.script_load(SCRIPTS[name].text))


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_line_of_comment_is_sent(name):
    lines = [line.strip() for line in SCRIPTS[name].text.splitlines()]

    assert [] == [line for line in lines if line.startswith("--")]
