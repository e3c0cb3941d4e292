"""Attribute lists of the DIMSE-N services: which attributes must be there, may be there, and what setting them gives.

What the annexes of PS3.4 share. An attribute "has a value" when it is there with a length above zero; a sequence
has one when it has an item. Data sets given are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from copy import deepcopy
from typing import Final

from sansdimse.dataset import Dataset, tag_of
from sansdimse.dimse.status import (
    INVALID_ATTRIBUTE_VALUE,
    MISSING_ATTRIBUTE,
    MISSING_ATTRIBUTE_VALUE,
    NO_SUCH_ATTRIBUTE,
)
from sansdimse.service_classes.refused import Refused

UNICODE: Final = "ISO_IR 192"


def text_of(dataset: Dataset, keyword: str) -> str:
    """The value as text without its padding, several joined by a backslash; "" if there is none."""
    if not has_value(dataset, keyword):
        return ""
    element = dataset[keyword]
    values = element.value if element.VM > 1 else [element.value]
    return "\\".join(str(value).strip(" \0") for value in values)


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none if it is not there, empty, or sent with another VR."""
    tag = tag_of(keyword)
    if tag not in dataset or dataset[tag].VR != "SQ":
        return []
    return list(dataset[tag].value or ())


def has_value(dataset: Dataset, keyword: str) -> bool:
    """Whether the attribute is there and not empty."""
    tag = tag_of(keyword)
    return tag in dataset and not _is_empty(dataset, tag)


def _is_empty(dataset: Dataset, tag: int) -> bool:
    element = dataset[tag]
    return len(element.value or ()) == 0 if element.VR == "SQ" else element.is_empty


def copy_attributes(source: Dataset, keywords: Iterable[str], target: Dataset) -> None:
    """Copy those of the attributes that are there, as they are: what a peer sent is not judged by pydicom again."""
    for tag in [tag_of(keyword) for keyword in keywords]:
        if tag in source:
            target[tag] = deepcopy(source[tag])


def subset(dataset: Dataset, keywords: Iterable[str]) -> Dataset:
    """A copy of those of the attributes that are there, with the character set that their text needs."""
    part = Dataset()
    copy_attributes(dataset, keywords, part)
    if len(part):
        copy_attributes(dataset, ["SpecificCharacterSet"], part)
    return part


def check_types(dataset: Dataset, type_1: Iterable[str], type_2: Iterable[str] = ()) -> None:
    """Raise Refused for what is not there (0120) or is type 1 and has no value (0121); the former first."""
    type_1 = tuple(type_1)
    missing = [keyword for keyword in (*type_1, *type_2) if tag_of(keyword) not in dataset]
    if missing:
        raise Refused(MISSING_ATTRIBUTE, _comment("missing: ", missing), attributes=_tags(missing))
    empty = [keyword for keyword in type_1 if not has_value(dataset, keyword)]
    if empty:
        raise without_value(empty)


def without_value(keywords: Collection[str]) -> Refused:
    """The refusal 0121: these have no value and must have one."""
    attribute_list = Dataset()
    for keyword in keywords:
        setattr(attribute_list, keyword, None)
    return Refused(MISSING_ATTRIBUTE_VALUE, _comment("no value: ", keywords), attribute_list=attribute_list)


def check_absent(dataset: Dataset, keywords: Iterable[str]) -> None:
    """Raise Refused (0105) if one of the attributes is there, that this operation may not have."""
    there = [keyword for keyword in keywords if tag_of(keyword) in dataset]
    if there:
        raise Refused(NO_SUCH_ATTRIBUTE, _comment("not allowed: ", there), attributes=_tags(there))


def check_value(dataset: Dataset, keyword: str, allowed: Collection[str]) -> None:
    """Raise Refused (0106) if the attribute has a value, and not one of these."""
    if has_value(dataset, keyword) and text_of(dataset, keyword) not in allowed:
        raise wrong_value(dataset, keyword)


def wrong_value(dataset: Dataset, keyword: str) -> Refused:
    """The refusal 0106: the attribute is there with a value that it may not have."""
    return Refused(INVALID_ATTRIBUTE_VALUE, f"bad value: {keyword}"[:64], attribute_list=subset(dataset, [keyword]))


def check_each_item(dataset: Dataset, keyword: str, check: Callable[[Dataset], None]) -> None:
    """Run a check over each item of a sequence. A refusal names the sequence where only whole values can be named."""
    for item in items_of(dataset, keyword):
        try:
            check(item)
        except Refused as refused:
            if refused.attribute_list is not None:
                refused.attribute_list = subset(dataset, [keyword])
            raise


def _comment(what: str, keywords: Collection[str]) -> str:
    return (what + ", ".join(keywords))[:64]


def _tags(keywords: Iterable[str]) -> tuple[int, ...]:
    return tuple(tag_of(keyword) for keyword in keywords)


def applied(current: Dataset, modifications: Dataset) -> Dataset:
    """The attributes after an N-SET: those given take the place of those there, sequences as wholes (PS3.7 10.1.3).

    Where the two data sets declare different character sets the result is in Unicode, as it holds text of both.
    """
    result = deepcopy(current)
    for element in modifications:
        result[element.tag] = deepcopy(element)
    before, given = text_of(current, "SpecificCharacterSet"), text_of(modifications, "SpecificCharacterSet")
    if before and given and before != given:
        result.SpecificCharacterSet = UNICODE
    elif before:
        copy_attributes(current, ["SpecificCharacterSet"], result)
    return result
