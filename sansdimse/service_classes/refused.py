"""How the rules of a service class refuse a request: an exception with all that a response may say of it."""

from __future__ import annotations

from sansdimse.dataset import Dataset
from sansdimse.dimse.status import Status


class Refused(Exception):
    """A request that a service class does not allow, and what to answer.

    ``comment`` is for Error Comment (0000,0902): at most 64 characters of the default repertoire. The elements in
    question go where PS3.7 Annex C has them for this status: tags in ``attributes`` (Attribute Identifier List
    (0000,1005), with 0105, 0107, 0120) or in ``offending_element`` ((0000,0901), with the codes of a service class),
    elements with their values in ``attribute_list`` (the data set of the response, with 0106, 0115, 0116, 0121).
    """

    def __init__(
        self,
        status: int,
        comment: str | None = None,
        offending_element: tuple[int, ...] = (),
        *,
        error_id: int | None = None,
        attributes: tuple[int, ...] = (),
        attribute_list: Dataset | None = None,
    ) -> None:
        super().__init__(f"{Status(status)}{': ' + comment if comment else ''}")
        self.status = Status(status)
        self.comment = comment
        self.offending_element = offending_element
        self.error_id = error_id
        self.attributes = attributes
        self.attribute_list = attribute_list
