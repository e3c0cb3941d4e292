"""A refusal says what to answer."""

from __future__ import annotations

from pydicom import Dataset

from sansdimse.dimse.status import Status
from sansdimse.service_classes.refused import Refused


def test_a_refusal_holds_all_that_an_answer_may_say() -> None:
    wrong = Dataset()
    refused = Refused(
        0x0110, "no more", offending_element=(1,), error_id=0xA710, attributes=(2, 3), attribute_list=wrong
    )
    assert refused.status == 0x0110
    assert isinstance(refused.status, Status)
    assert (refused.comment, refused.offending_element, refused.error_id) == ("no more", (1,), 0xA710)
    assert refused.attributes == (2, 3)
    assert refused.attribute_list is wrong
    assert str(refused) == "0x0110 (failure: processing failure): no more"


def test_it_may_say_the_status_alone() -> None:
    refused = Refused(0xC300)
    assert (refused.comment, refused.offending_element, refused.error_id) == (None, (), None)
    assert (refused.attributes, refused.attribute_list) == ((), None)
    assert str(refused) == "0xC300 (failure)"
