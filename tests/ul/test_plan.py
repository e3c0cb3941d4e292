"""Plans carry every instance as it is, keep the rules of PS3.5 10, and fit their associations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE_8BIT,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    RLE_LOSSLESS,
    VERIFICATION,
)
from sansdimse.ul.negotiation import propose
from sansdimse.ul.parties import PresentationContext, Requestor
from sansdimse.ul.plan import Need, Plan, plan, plan_get

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT, EXPLICIT = IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
DEFLATED, BIG = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN


def syntaxes(made: Plan) -> list[tuple[str, tuple[str, ...]]]:
    (contexts,) = made.associations
    return [(context.abstract_syntax, context.transfer_syntaxes) for context in contexts]


def test_nothing_needed_is_nothing_planned() -> None:
    assert plan([]) == Plan(())


def test_a_sop_class_needs_its_uncompressed_context() -> None:
    assert syntaxes(plan([VERIFICATION, CT, VERIFICATION])) == [
        (VERIFICATION, (EXPLICIT, IMPLICIT)),
        (CT, (EXPLICIT, IMPLICIT)),
    ]


def test_what_must_travel_as_it_is_has_a_context_of_its_own() -> None:
    needs = [(CT, JPEG_BASELINE_8BIT), (MR, RLE_LOSSLESS), (CT, BIG), (CT, DEFLATED), (CT, EXPLICIT), (CT, BIG)]
    assert syntaxes(plan(needs)) == [
        (CT, (EXPLICIT, IMPLICIT)),
        (CT, (JPEG_BASELINE_8BIT,)),
        (CT, (BIG,)),
        (CT, (DEFLATED,)),
        (MR, (EXPLICIT, IMPLICIT)),
        (MR, (RLE_LOSSLESS,)),
    ]


def test_the_uncompressed_syntax_that_the_instances_have_comes_first() -> None:
    assert syntaxes(plan([(CT, IMPLICIT)])) == [(CT, (IMPLICIT, EXPLICIT))]
    assert syntaxes(plan([(CT, EXPLICIT), (CT, IMPLICIT)])) == [(CT, (EXPLICIT, IMPLICIT))]


def test_lossless_jpeg_brings_its_default_with_it() -> None:
    expected = [(CT, (EXPLICIT, IMPLICIT)), (CT, (JPEG_LOSSLESS,)), (CT, (JPEG_LOSSLESS_SV1,))]
    assert syntaxes(plan([(CT, JPEG_LOSSLESS)])) == expected
    assert syntaxes(plan([(CT, JPEG_LOSSLESS), (CT, JPEG_LOSSLESS_SV1)])) == expected
    assert syntaxes(plan([(CT, JPEG_LOSSLESS_SV1)])) == [expected[0], expected[2]]


def test_the_default_is_waived_only_for_classes_with_nothing_but_lossy_data() -> None:
    needs: list[Need] = [(CT, JPEG_BASELINE_8BIT), (MR, JPEG_BASELINE_8BIT), (MR, RLE_LOSSLESS), VERIFICATION]
    assert syntaxes(plan(needs, only_lossy=True)) == [
        (CT, (JPEG_BASELINE_8BIT,)),
        (MR, (EXPLICIT, IMPLICIT)),
        (MR, (JPEG_BASELINE_8BIT,)),
        (MR, (RLE_LOSSLESS,)),
        (VERIFICATION, (EXPLICIT, IMPLICIT)),
    ]
    assert (CT, (EXPLICIT, IMPLICIT)) in syntaxes(plan(needs))


def test_the_default_is_waived_for_classes_too_long_to_send_uncompressed() -> None:
    made = plan([(CT, JPEG_2000_LOSSLESS), (MR, JPEG_2000_LOSSLESS)], too_long={CT})
    assert syntaxes(made) == [(CT, (JPEG_2000_LOSSLESS,)), (MR, (EXPLICIT, IMPLICIT)), (MR, (JPEG_2000_LOSSLESS,))]
    assert syntaxes(plan([(CT, IMPLICIT)], too_long={CT})) == [(CT, (IMPLICIT, EXPLICIT))]
    assert syntaxes(plan([CT], only_lossy=True, too_long={CT})) == [(CT, (EXPLICIT, IMPLICIT))]


def test_roles_come_from_contexts_and_hold_for_the_class() -> None:
    made = plan([PresentationContext(CT, (JPEG_BASELINE_8BIT,), scu=False, scp=True), MR])
    assert {(c.abstract_syntax, c.scu, c.scp) for c in made.associations[0]} == {(CT, False, True), (MR, True, False)}
    both = plan([(CT, IMPLICIT), PresentationContext(CT, (JPEG_BASELINE_8BIT,), scu=False, scp=True)])
    assert {(c.scu, c.scp) for c in both.associations[0]} == {(True, True)}


def test_a_sop_class_is_split_only_if_one_association_cannot_hold_it() -> None:
    many = [(CT, f"1.2.3.{n}") for n in range(300)]
    made = plan([*many, MR])
    assert [len(contexts) for contexts in made.associations] == [128, 128, 48]
    for contexts in made.associations:
        assert contexts[0].transfer_syntaxes == (EXPLICIT, IMPLICIT)
    assert made.association_for(MR, IMPLICIT) == 2
    assert made.association_for(CT, "1.2.3.126") == 0
    assert made.association_for(CT, "1.2.3.127") == 1
    waived = plan(many, only_lossy=True)
    assert [len(contexts) for contexts in waived.associations] == [128, 128, 44]


def test_a_class_that_does_not_fit_leaves_room_for_a_later_one() -> None:
    needs: list[Need] = [f"1.2.{n}" for n in range(127)]
    made = plan([*needs, (CT, RLE_LOSSLESS), MR])
    assert [len(contexts) for contexts in made.associations] == [128, 2]
    assert made.association_for(MR, IMPLICIT) == 0
    assert made.association_for(CT, IMPLICIT) == made.association_for(CT, RLE_LOSSLESS) == 1
    assert made.association_for(CT, BIG) is None


# ---------------------------------------------------------------- C-GET


def test_a_get_proposes_itself_and_the_scp_role_for_storage() -> None:
    (contexts,) = plan_get(STUDY_ROOT_GET, [CT, (MR, RLE_LOSSLESS), (CT, IMPLICIT)]).associations
    assert contexts == (
        PresentationContext(STUDY_ROOT_GET),
        PresentationContext(CT, scu=False, scp=True),
        PresentationContext(MR, scu=False, scp=True),
        PresentationContext(MR, (RLE_LOSSLESS,), scu=False, scp=True),
    )


def test_a_get_takes_what_matters_most_and_says_what_it_left_out() -> None:
    ranked: list[Need] = [f"1.2.{n}" for n in range(200)]
    made = plan_get(STUDY_ROOT_GET, ranked)
    assert len(made.associations[0]) == 128
    assert made.left_out == tuple(ranked[127:])
    # One context is left: too little for a new compressed class, enough for one whose default is there.
    made = plan_get(STUDY_ROOT_GET, [*ranked[:126], (CT, RLE_LOSSLESS), ("1.2.0", RLE_LOSSLESS), MR])
    assert made.left_out == ((CT, RLE_LOSSLESS), MR)
    assert len(made.associations[0]) == 128


@pytest.mark.parametrize("needs", [[], [CT]])
def test_a_small_get_leaves_nothing_out(needs: list[Need]) -> None:
    made = plan_get(STUDY_ROOT_GET, needs)
    assert made.left_out == ()
    assert len(made.associations[0]) == 1 + len(needs)


# ---------------------------------------------------------------- properties

classes = st.sampled_from([f"1.2.840.10008.5.1.4.1.1.{n}" for n in range(1, 60)])
kinds = st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG_BASELINE_8BIT, JPEG_LOSSLESS, RLE_LOSSLESS, "1.2.3"])
instances = st.tuples(classes, kinds)


@given(st.lists(instances, max_size=150), st.booleans(), st.sets(classes, max_size=5))
@settings(max_examples=60)
def test_every_instance_has_an_association_that_carries_it_and_every_one_can_be_proposed(
    needs: list[tuple[str, str]], only_lossy: bool, too_long: set[str]
) -> None:
    made = plan(needs, only_lossy=only_lossy, too_long=too_long)
    assert made.left_out == ()
    homes: dict[str, int] = {}
    for index, contexts in enumerate(made.associations):
        request = propose(Requestor("ME", "PACS", contexts))
        assert len(request.presentation_contexts) <= 128
        for context in contexts:
            assert len(context.transfer_syntaxes) == 1 or set(context.transfer_syntaxes) == {IMPLICIT, EXPLICIT}
            assert homes.setdefault(context.abstract_syntax, index) == index
        if not only_lossy and not too_long:
            with_default = {c.abstract_syntax for c in contexts if IMPLICIT in c.transfer_syntaxes}
            assert with_default == {c.abstract_syntax for c in contexts}
    for sop_class, transfer_syntax in needs:
        assert made.association_for(sop_class, transfer_syntax) == homes[sop_class]


@given(st.lists(instances | classes, max_size=150))
@settings(max_examples=60)
def test_a_get_is_one_association_with_the_default_of_each_class(needs: list[Need]) -> None:
    made = plan_get(STUDY_ROOT_GET, needs)
    (contexts,) = made.associations
    request = propose(Requestor("ME", "PACS", contexts))
    assert {role.sop_class_uid for role in request.role_selections} == {c.abstract_syntax for c in contexts[1:]}
    assert {(role.scu_role, role.scp_role) for role in request.role_selections} <= {(0, 1)}
    with_default = {c.abstract_syntax for c in contexts if IMPLICIT in c.transfer_syntaxes}
    assert with_default == {c.abstract_syntax for c in contexts}
    taken = [need for need in needs if need not in made.left_out]
    for need in taken:
        sop_class, transfer_syntax = need if isinstance(need, tuple) else (str(need), IMPLICIT)
        assert made.association_for(sop_class, transfer_syntax) == 0
    assert not made.left_out or len(contexts) >= 126
