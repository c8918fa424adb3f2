"""The format of a scrape: what `prometheus_client` answers, and weights."""

import pytest
from prometheus_client.exposition import choose_encoder

from evmon._http.negotiation import TEXT, preferred

OPENMETRICS = "application/openmetrics-text"


@pytest.mark.parametrize("media_type", ["text/plain", OPENMETRICS])
@pytest.mark.parametrize("version", ["", ";version=0.0.1", ";version=1.0.0"])
@pytest.mark.parametrize(
    "escaping",
    ["", *(f";escaping={n}" for n in ("allow-utf-8", "underscores", "dots", "values"))],
)
def test_the_format_is_that_of_prometheus_client(media_type, version, escaping):
    accept = f"{media_type}{version}{escaping}"

    assert choose_encoder(accept)[1] == preferred(accept).content_type


def test_openmetrics_0_0_1_alone_is_answered_with_text():
    assert TEXT == preferred(f"{OPENMETRICS}; version=0.0.1")


def test_prometheus_3_gets_the_format_it_prefers():
    accept = (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )

    assert (
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
        == preferred(accept).content_type
    )


@pytest.mark.parametrize(
    "accept",
    [f"{OPENMETRICS};q=0.1, text/plain;q=0.9", f"{OPENMETRICS};q=0", "", "*/*"],
)
def test_text_is_served_where_it_is_preferred(accept):
    assert TEXT == preferred(accept)
