"""What every generated file shares: YAML layout and default URLs."""

from typing import Any, Final

import yaml

RUNBOOKS_URL: Final = "https://github.com/evmon/evmon/blob/main/docs/runbooks"
GRAFANA_URL: Final = "http://localhost:3000"


def to_yaml(data: Any) -> str:
    """Serialize data as YAML: keys in their given order, long lines unwrapped."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10_000)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes multi-line strings as literal blocks, which are easier to read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Repeat equal values: rules files do not use YAML aliases."""
        return True


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_str)
