"""Common extended negotiation: Table B.3-3, what may be said, and what an acceptor makes of it."""

from __future__ import annotations

import pytest

from sansdimse.errors import LocalProtocolError
from sansdimse.services import sop_classes
from sansdimse.services.common_extended import common_negotiation, common_negotiations, related_general
from sansdimse.services.sop_classes import STANDARD, ServiceClass, private_storage
from sansdimse.ul.items import CommonExtendedNegotiation
from sansdimse.ul.negotiation import agree, answer, propose
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAssociateAC

STORAGE_SERVICE = "1.2.840.10008.4.2"
CT = sop_classes.CT_IMAGE_STORAGE
PRIVATE = "1.3.12.2.1107.5.9.1"

SR = "EnhancedSR ComprehensiveSR Comprehensive3DSR ExtensibleSR"
# PS3.4 Table B.3-3 (2020), by keyword.
TABLE = f"""
TwelveLeadECGWaveform: GeneralECGWaveform
DigitalMammographyXRayImageStorageForPresentation: DigitalXRayImageStorageForPresentation
DigitalMammographyXRayImageStorageForProcessing: DigitalXRayImageStorageForProcessing
DigitalIntraOralXRayImageStorageForPresentation: DigitalXRayImageStorageForPresentation
DigitalIntraOralXRayImageStorageForProcessing: DigitalXRayImageStorageForProcessing
BasicTextSR: {SR}
EnhancedSR: ComprehensiveSR Comprehensive3DSR ExtensibleSR
ComprehensiveSR: Comprehensive3DSR ExtensibleSR
Comprehensive3DSR: ExtensibleSR
ProcedureLog: {SR}
SimplifiedAdultEchoSR: {SR}
XRayRadiationDoseSR: {SR}
RadiopharmaceuticalRadiationDoseSR: {SR}
PatientRadiationDoseSR: {SR}
AcquisitionContextSR: {SR}
SpectaclePrescriptionReport: EnhancedSR
MacularGridThicknessAndVolumeReport: EnhancedSR
EnhancedCTImage: LegacyConvertedEnhancedCTImage
EnhancedMRImage: LegacyConvertedEnhancedMRImage
EnhancedPETImage: LegacyConvertedEnhancedPETImage
"""


def uid_of(keyword: str) -> str:
    row = STANDARD.by_keyword(keyword) or STANDARD.by_keyword(keyword + "Storage")
    assert row is not None, keyword
    return row.uid


def test_the_relations_are_the_standards() -> None:
    expected = {}
    for line in TABLE.strip().splitlines():
        special, _, general = line.partition(": ")
        expected[uid_of(special)] = tuple(uid_of(keyword) for keyword in general.split())
    assert {row.uid: related_general(row.uid) for row in STANDARD if related_general(row.uid)} == expected
    for uid, general in expected.items():
        assert {STANDARD.service_class_of(each) for each in (uid, *general)} == {ServiceClass.STORAGE}
    assert related_general(PRIVATE) == ()


def test_what_a_storage_sop_class_is() -> None:
    log = uid_of("ProcedureLog")
    assert common_negotiation(log) == CommonExtendedNegotiation(log, STORAGE_SERVICE, related_general(log))
    assert common_negotiation(CT) == CommonExtendedNegotiation(CT, STORAGE_SERVICE)
    assert common_negotiation(PRIVATE) == CommonExtendedNegotiation(PRIVATE, STORAGE_SERVICE)
    assert common_negotiation(PRIVATE, [CT]) == CommonExtendedNegotiation(PRIVATE, STORAGE_SERVICE, (CT,))
    assert common_negotiation(CT, []) == common_negotiation(CT)


def test_nothing_is_said_against_the_standard() -> None:
    with pytest.raises(LocalProtocolError, match="CT Image Storage is related to"):
        common_negotiation(CT, [sop_classes.MR_IMAGE_STORAGE])
    with pytest.raises(LocalProtocolError, match="Verification SOP Class is not of the Storage Service Class"):
        common_negotiation(sop_classes.VERIFICATION)
    with pytest.raises(LocalProtocolError, match="not of the Storage Service Class, but of Non-Patient"):
        common_negotiation("1.2.840.10008.5.1.4.38.1")


def test_of_contexts_those_for_storage_once_each() -> None:
    contexts = [sop_classes.VERIFICATION, CT, PresentationContext(CT, scp=True), PRIVATE, sop_classes.STUDY_ROOT_GET]
    assert common_negotiations(contexts) == (common_negotiation(CT),)
    table = STANDARD.with_private(private_storage(PRIVATE))
    assert common_negotiations(contexts, table) == (common_negotiation(CT), common_negotiation(PRIVATE))


@pytest.mark.parametrize("willing", [False, True])
@pytest.mark.parametrize("said", [False, True])
def test_a_storage_scp_takes_what_specializes_what_it_supports_if_it_wants_to(willing: bool, said: bool) -> None:
    log, enhanced = uid_of("ProcedureLog"), uid_of("EnhancedSR")
    requestor = Requestor("ME", "PACS", [log], common_extended=common_negotiations([log]) if said else ())
    request = propose(requestor)
    reply = answer(Acceptor("PACS", [enhanced], related_general=willing), request)
    assert isinstance(reply, AAssociateAC)
    agreement = agree(request, reply, requestor=True)
    assert [context.accepted for context in agreement.contexts] == [willing and said]
