"""`--publish`, both of Docker's forms → the bodies of requests.

Long: `published=5000,target=80,protocol=tcp,mode=host`; short: `[IP:][PUBLISHED:]TARGET[/tcp]`,
where either number may be a range. Only the form is checked here.
"""

import abc
import re
from typing import Any

import click

from sdd.cli.params import ADDRESS, MAX_PORT

PROTOCOLS = ("tcp", "udp", "sctp")
CHOICES = {
    "protocol": PROTOCOLS,
    "mode": ("host", "ingress"),
    "policy": ("preserve", "snat", "local"),
}
KEYS = ("published", "target", *CHOICES, "host-ip")
FORM = "[IP:][PUBLISHED:]TARGET[/tcp|udp|sctp]"
NAMING = {"target", "published", "protocol", "host-ip"}  # what tells one port from another
SHORT = re.compile(
    r"(?:(?:(?P<host>\[[^\]]*\]|[^:\[\]]*):)?(?P<published>[^:\[\]]*):)?"
    r"(?P<target>[^:\[\]/]*)(?:/(?P<protocol>[^:/]*))?"
)
RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class _Form(click.ParamType[dict[str, Any]], abc.ABC):
    """What both options have in common: the two ways to write a port."""

    name = "port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """The form of the request's body; a value that has it already is left as it is."""
        return value if isinstance(value, dict) else self.of(value, param, ctx)

    @abc.abstractmethod
    def of(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """The body that was written as `value`; a usage error when it names no port."""

    def words(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """Key → what was written; a usage error when it has neither form."""
        if any(each.isspace() for each in value):
            self.fail(
                f'"{value}" holds a blank; write it without: "{"".join(value.split())}"', param, ctx
            )
        if "=" not in value:
            found = _short(value)
            if found is None:
                self.fail(
                    f'"{value}" is not of the form {FORM};'
                    " an IPv6 address stands in brackets: [::]",
                    param,
                    ctx,
                )
            return found
        words: dict[str, str] = {}
        for each in value.split(","):
            key, _, text = each.partition("=")
            key = "host-ip" if key == "host_ip" else key
            if key in words:
                self.fail(f'"{value}" says {key} twice; give the option twice instead', param, ctx)
            words[key] = text
        return words

    def body(
        self,
        value: str,
        words: dict[str, str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> dict[str, Any]:
        """The form of the request."""
        found: dict[str, Any] = {}
        for key, text in words.items():
            if key in CHOICES:
                if text not in CHOICES[key]:
                    choices = ", ".join(CHOICES[key])
                    self.fail(f'{key} "{text}" in "{value}" is not one of: {choices}', param, ctx)
                found[key] = text
            elif key in ("published", "target"):
                found |= self._numbers(value, key, text, param, ctx)
            elif key == "host-ip":
                found["address"] = ADDRESS.convert(text.strip("[]"), param, ctx)
            else:
                self.fail(f'"{key}" in "{value}" is not one of: {", ".join(KEYS)}', param, ctx)
        return found

    def _numbers(
        self,
        value: str,
        key: str,
        text: str,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> dict[str, int]:
        matched = RANGE.fullmatch(text)
        numbers = [int(each) for each in matched.groups() if each] if matched else []
        least = 0 if key == "published" and len(numbers) == 1 else 1  # 0: any that is free
        if not numbers or any(not least <= each <= MAX_PORT for each in numbers):
            self.fail(f'{key} "{text}" in "{value}" is no port from 1 to {MAX_PORT}', param, ctx)
        if numbers[-1] < numbers[0]:
            self.fail(
                f'{key} "{text}" in "{value}" runs backwards; the smaller number comes first:'
                f" {numbers[1]}-{numbers[0]}",
                param,
                ctx,
            )
        return {key: numbers[0]} | ({f"{key}_last": numbers[1]} if len(numbers) > 1 else {})


class Publish(_Form):
    """One published port, or a range of them."""

    def of(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """A port has a target."""
        words = self.words(value, param, ctx)
        if not words.get("target"):
            self.fail(
                f'"{value}" names no target port; examples: published=8080,target=80, 8080:80/tcp',
                param,
                ctx,
            )
        return self.body(value, words, param, ctx)


class Unpublish(_Form):
    """TARGET[/PROTOCOL], as Docker's --publish-rm, or one number as --publish has it."""

    def of(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """A port is named by what tells it from others."""
        words = self.words(value, param, ctx)
        if not words or words.keys() - NAMING:
            self.fail(
                f'"{value}" is not of the form [PUBLISHED:]TARGET[/PROTOCOL], such as 80/tcp,'
                " 8080:80 or published=8080",
                param,
                ctx,
            )
        found = self.body(value, words, param, ctx)
        if any(f"{each}_last" in found for each in NAMING):
            self.fail(f'"{value}" is a range; name one port, and repeat the option', param, ctx)
        return found


def _short(value: str) -> dict[str, str] | None:
    """The words of the short form; None for what has not its form."""
    matched = SHORT.fullmatch(value)
    if matched is None:
        return None
    found = matched.groupdict()
    return {("host-ip" if key == "host" else key): text for key, text in found.items() if text}


PUBLISH = Publish()
UNPUBLISH = Unpublish()
