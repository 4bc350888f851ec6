"""SOQL text in tokens, and errors that point into it as Salesforce's do."""

import re
from dataclasses import dataclass

from connectors.emulators.salesforce.errors import Refusal

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>'(?:[^'\\]|\\.)*')
    |(?P<moment>\d{4}-\d\d-\d\d(?:[Tt]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?(?![\w.]))
    |(?P<clock>\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)?)
    |(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w]))
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,|:)""",
    re.VERBOSE | re.DOTALL,
)
_WINDOW = 5  # how many tokens of context an error shows on either side


@dataclass(frozen=True, slots=True)
class Token:
    """kind: text, moment, clock, number, name, sign or end. `at` is its offset in the statement."""

    kind: str
    text: str
    at: int

    @property
    def lower(self) -> str:
        """For keywords, which may be in any case."""
        return self.text.lower()


@dataclass(frozen=True, slots=True)
class Source:
    """A statement and its tokens, so that an error can show where it is."""

    text: str
    tokens: tuple[Token, ...]

    def refusal(self, code: str, message: str, at: int) -> Refusal:
        """400 with the place: the tokens around it, a caret, row and column."""
        line_start = self.text.rfind("\n", 0, at) + 1
        row, column = self.text.count("\n", 0, at) + 1, at - line_start + 1
        shown, caret = self._around(at, line_start)
        return Refusal(400, code, f"\n{shown}\n{' ' * caret}^\nERROR at Row:{row}:Column:{column}\n{message}")

    def _around(self, at: int, line_start: int) -> tuple[str, int]:
        line_end = self.text.find("\n", at)
        within = len(self.text) if line_end < 0 else line_end
        near = [each for each in self.tokens if line_start <= each.at < within and each.kind != "end"]
        place = next((index for index, each in enumerate(near) if each.at >= at), len(near))
        window = near[max(0, place - _WINDOW) : place + _WINDOW + 1]
        while window and window[0].text == "," and window[0].at < at:
            window = window[1:]
        while window and window[-1].text == "," and window[-1].at > at:
            window = window[:-1]
        if not window:
            return "", 0
        start, end = min(window[0].at, at), window[-1].at + len(window[-1].text)
        return self.text[start:end], at - start


def read_tokens(soql: str) -> Source:
    """The statement's tokens with an `end` at the end; MALFORMED_QUERY for what is no token."""
    tokens: list[Token] = []
    at = 0
    while at < len(soql):
        match = _TOKEN.match(soql, at)
        if match is None:
            raise _no_token(soql, tokens, at)
        if match.lastgroup != "space":
            tokens.append(Token(match.lastgroup or "", match.group(), at))
        at = match.end()
    return Source(soql, (*tokens, Token("end", "<EOF>", len(soql.rstrip()))))


def _no_token(soql: str, tokens: list[Token], at: int) -> Refusal:
    if soql[at] == "'":
        message = f"line {soql.count(chr(10), 0, at) + 1}:{len(soql)} mismatched character '<EOF>' expecting '''"
        return Refusal(400, "MALFORMED_QUERY", message)
    row = soql.count("\n", 0, at) + 1
    column = at - (soql.rfind("\n", 0, at) + 1)
    if soql[at : at + 1] == '"':
        message = f"line {row}:{column} no viable alternative at character '\"'"
        return Refusal(400, "MALFORMED_QUERY", message)
    source = Source(soql, (*tokens, Token("sign", soql[at], at)))
    return source.refusal("MALFORMED_QUERY", f"unexpected token: '{soql[at]}'", at)
