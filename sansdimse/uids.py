"""UIDs by name, their normal form, and what each transfer syntax does to a data set.

UIDs are plain ``str``: digits and dots, at most 64 (PS3.5 9). The SOP classes have a table of their
own in ``sansdimse.services.sop_classes``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
"""DICOM's one application context (PS3.7 A.2.1)."""

LONGEST: Final = 128
"""Characters of a UID that we take from a peer and repeat: twice what the standard allows (PS3.5 9.1)."""

IMPLEMENTATION_CLASS_UID: Final = "2.25.69110388360050560170981666158802962674"
"""Ours, fixed once (PS3.7 D.3.3.2); made of a random UUID (PS3.5 B.2), so nobody else's."""

IMPLEMENTATION_VERSION_NAME: Final = "SANSDIMSE_0_1"

VERIFICATION: Final = "1.2.840.10008.1.1"

STORAGE_SERVICE_CLASS: Final = "1.2.840.10008.4.2"
"""The one service class that has a UID to negotiate with (PS3.4 B.3.1.3)."""

# Well-known SOP instances (PS3.6 A-1): there is one of each, and N-services and C-GET name it.
STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
PROCEDURAL_EVENT_LOGGING_INSTANCE: Final = "1.2.840.10008.1.40.1"
SUBSTANCE_ADMINISTRATION_LOGGING_INSTANCE: Final = "1.2.840.10008.1.42.1"
PRINTER_INSTANCE: Final = "1.2.840.10008.5.1.1.17"
PRINTER_CONFIGURATION_RETRIEVAL_INSTANCE: Final = "1.2.840.10008.5.1.1.17.376"
DISPLAY_SYSTEM_INSTANCE: Final = "1.2.840.10008.5.1.1.40.1"
STORAGE_MANAGEMENT_INSTANCE: Final = "1.2.840.10008.5.1.4.1.1.201.1.1"
UPS_GLOBAL_SUBSCRIPTION_INSTANCE: Final = "1.2.840.10008.5.1.4.34.5"
UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE: Final = "1.2.840.10008.5.1.4.34.5.1"
HOT_IRON_PALETTE: Final = "1.2.840.10008.1.5.1"
PET_PALETTE: Final = "1.2.840.10008.1.5.2"
HOT_METAL_BLUE_PALETTE: Final = "1.2.840.10008.1.5.3"
PET_20_STEP_PALETTE: Final = "1.2.840.10008.1.5.4"
SPRING_PALETTE: Final = "1.2.840.10008.1.5.5"
SUMMER_PALETTE: Final = "1.2.840.10008.1.5.6"
FALL_PALETTE: Final = "1.2.840.10008.1.5.7"
WINTER_PALETTE: Final = "1.2.840.10008.1.5.8"

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.98"

JPEG_BASELINE_8BIT: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED_12BIT: Final = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
JPEG_2000_MC_LOSSLESS: Final = "1.2.840.10008.1.2.4.92"
JPEG_2000_MC: Final = "1.2.840.10008.1.2.4.93"
JPEG_XL_LOSSLESS: Final = "1.2.840.10008.1.2.4.110"
JPEG_XL_JPEG_RECOMPRESSION: Final = "1.2.840.10008.1.2.4.111"
JPEG_XL: Final = "1.2.840.10008.1.2.4.112"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL: Final = "1.2.840.10008.1.2.4.202"
HTJ2K: Final = "1.2.840.10008.1.2.4.203"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
DEFLATED_IMAGE_FRAME_COMPRESSION: Final = "1.2.840.10008.1.2.8.1"

JPIP_REFERENCED: Final = "1.2.840.10008.1.2.4.94"
JPIP_REFERENCED_DEFLATE: Final = "1.2.840.10008.1.2.4.95"
JPIP_HTJ2K_REFERENCED: Final = "1.2.840.10008.1.2.4.204"
JPIP_HTJ2K_REFERENCED_DEFLATE: Final = "1.2.840.10008.1.2.4.205"

MPEG2_MPML: Final = "1.2.840.10008.1.2.4.100"
MPEG2_MPMLF: Final = "1.2.840.10008.1.2.4.100.1"
MPEG2_MPHL: Final = "1.2.840.10008.1.2.4.101"
MPEG2_MPHLF: Final = "1.2.840.10008.1.2.4.101.1"
MPEG4_HP41: Final = "1.2.840.10008.1.2.4.102"
MPEG4_HP41F: Final = "1.2.840.10008.1.2.4.102.1"
MPEG4_HP41BD: Final = "1.2.840.10008.1.2.4.103"
MPEG4_HP41BDF: Final = "1.2.840.10008.1.2.4.103.1"
MPEG4_HP422D: Final = "1.2.840.10008.1.2.4.104"
MPEG4_HP422DF: Final = "1.2.840.10008.1.2.4.104.1"
MPEG4_HP423D: Final = "1.2.840.10008.1.2.4.105"
MPEG4_HP423DF: Final = "1.2.840.10008.1.2.4.105.1"
MPEG4_HP42STEREO: Final = "1.2.840.10008.1.2.4.106"
MPEG4_HP42STEREOF: Final = "1.2.840.10008.1.2.4.106.1"
HEVC_MP51: Final = "1.2.840.10008.1.2.4.107"
HEVC_M10P51: Final = "1.2.840.10008.1.2.4.108"

UNCOMPRESSED: Final = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
)
"""Native pixel data, so a data set can be converted between them without touching a codec; best first."""


class Lossy(Enum):
    """What encoding pixel data in a transfer syntax does to it (PS3.5 8.2, Annex A)."""

    NO = "n"
    MAYBE = "m"  # the encoder decides, and the transfer syntax alone does not tell
    YES = "y"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One row of PS3.6 A-1 of type Transfer Syntax, with what PS3.5 says of it.

    ``implicit_vr`` and ``little_endian`` are None where the data set is not encoded as PS3.5 has it
    (MIME, XML). ``encapsulated``: Pixel Data in fragments (PS3.5 A.4). ``deflated``: the whole data
    set is one raw deflate stream (PS3.5 A.5).
    """

    uid: str
    keyword: str
    name: str
    implicit_vr: bool | None
    little_endian: bool | None
    encapsulated: bool
    deflated: bool
    lossy: Lossy
    retired: bool


# UID without its root; I or E (VR), L or B (byte order), c encapsulated or d deflated, lossy (n, m, y),
# r retired; keyword; name. Video counts as lossy; JPEG recompression keeps what a lossy JPEG had left.
_ROOT: Final = "1.2.840.10008."
_ROWS: Final = """\
1.2 IL-n- ImplicitVRLittleEndian Implicit VR Little Endian
1.2.1 EL-n- ExplicitVRLittleEndian Explicit VR Little Endian
1.2.1.98 ELcn- EncapsulatedUncompressedExplicitVRLittleEndian Encapsulated Uncompressed Explicit VR Little Endian
1.2.1.99 ELdn- DeflatedExplicitVRLittleEndian Deflated Explicit VR Little Endian
1.2.2 EB-nr ExplicitVRBigEndian Explicit VR Big Endian
1.2.4.50 ELcy- JPEGBaseline8Bit JPEG Baseline (Process 1)
1.2.4.51 ELcy- JPEGExtended12Bit JPEG Extended (Process 2 and 4)
1.2.4.52 ELcyr JPEGExtended35 JPEG Extended (Process 3 and 5)
1.2.4.53 ELcyr JPEGSpectralSelectionNonHierarchical68 JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)
1.2.4.54 ELcyr JPEGSpectralSelectionNonHierarchical79 JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)
1.2.4.55 ELcyr JPEGFullProgressionNonHierarchical1012 JPEG Full Progression, Non-Hierarchical (Process 10 and 12)
1.2.4.56 ELcyr JPEGFullProgressionNonHierarchical1113 JPEG Full Progression, Non-Hierarchical (Process 11 and 13)
1.2.4.57 ELcn- JPEGLossless JPEG Lossless, Non-Hierarchical (Process 14)
1.2.4.58 ELcnr JPEGLosslessNonHierarchical15 JPEG Lossless, Non-Hierarchical (Process 15)
1.2.4.59 ELcyr JPEGExtendedHierarchical1618 JPEG Extended, Hierarchical (Process 16 and 18)
1.2.4.60 ELcyr JPEGExtendedHierarchical1719 JPEG Extended, Hierarchical (Process 17 and 19)
1.2.4.61 ELcyr JPEGSpectralSelectionHierarchical2022 JPEG Spectral Selection, Hierarchical (Process 20 and 22)
1.2.4.62 ELcyr JPEGSpectralSelectionHierarchical2123 JPEG Spectral Selection, Hierarchical (Process 21 and 23)
1.2.4.63 ELcyr JPEGFullProgressionHierarchical2426 JPEG Full Progression, Hierarchical (Process 24 and 26)
1.2.4.64 ELcyr JPEGFullProgressionHierarchical2527 JPEG Full Progression, Hierarchical (Process 25 and 27)
1.2.4.65 ELcnr JPEGLosslessHierarchical28 JPEG Lossless, Hierarchical (Process 28)
1.2.4.66 ELcnr JPEGLosslessHierarchical29 JPEG Lossless, Hierarchical (Process 29)
1.2.4.70 ELcn- JPEGLosslessSV1 JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])
1.2.4.80 ELcn- JPEGLSLossless JPEG-LS Lossless Image Compression
1.2.4.81 ELcm- JPEGLSNearLossless JPEG-LS Lossy (Near-Lossless) Image Compression
1.2.4.90 ELcn- JPEG2000Lossless JPEG 2000 Image Compression (Lossless Only)
1.2.4.91 ELcm- JPEG2000 JPEG 2000 Image Compression
1.2.4.92 ELcn- JPEG2000MCLossless JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)
1.2.4.93 ELcm- JPEG2000MC JPEG 2000 Part 2 Multi-component Image Compression
1.2.4.94 EL-m- JPIPReferenced JPIP Referenced
1.2.4.95 ELdm- JPIPReferencedDeflate JPIP Referenced Deflate
1.2.4.100 ELcy- MPEG2MPML MPEG2 Main Profile / Main Level
1.2.4.100.1 ELcy- MPEG2MPMLF Fragmentable MPEG2 Main Profile / Main Level
1.2.4.101 ELcy- MPEG2MPHL MPEG2 Main Profile / High Level
1.2.4.101.1 ELcy- MPEG2MPHLF Fragmentable MPEG2 Main Profile / High Level
1.2.4.102 ELcy- MPEG4HP41 MPEG-4 AVC/H.264 High Profile / Level 4.1
1.2.4.102.1 ELcy- MPEG4HP41F Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1
1.2.4.103 ELcy- MPEG4HP41BD MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1
1.2.4.103.1 ELcy- MPEG4HP41BDF Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1
1.2.4.104 ELcy- MPEG4HP422D MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video
1.2.4.104.1 ELcy- MPEG4HP422DF Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video
1.2.4.105 ELcy- MPEG4HP423D MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video
1.2.4.105.1 ELcy- MPEG4HP423DF Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video
1.2.4.106 ELcy- MPEG4HP42STEREO MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2
1.2.4.106.1 ELcy- MPEG4HP42STEREOF Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2
1.2.4.107 ELcy- HEVCMP51 HEVC/H.265 Main Profile / Level 5.1
1.2.4.108 ELcy- HEVCM10P51 HEVC/H.265 Main 10 Profile / Level 5.1
1.2.4.110 ELcn- JPEGXLLossless JPEG XL Lossless
1.2.4.111 ELcy- JPEGXLJPEGRecompression JPEG XL JPEG Recompression
1.2.4.112 ELcm- JPEGXL JPEG XL
1.2.4.201 ELcn- HTJ2KLossless High-Throughput JPEG 2000 Image Compression (Lossless Only)
1.2.4.202 ELcn- HTJ2KLosslessRPCL High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)
1.2.4.203 ELcm- HTJ2K High-Throughput JPEG 2000 Image Compression
1.2.4.204 EL-m- JPIPHTJ2KReferenced JPIP HTJ2K Referenced
1.2.4.205 ELdm- JPIPHTJ2KReferencedDeflate JPIP HTJ2K Referenced Deflate
1.2.5 ELcn- RLELossless RLE Lossless
1.2.6.1 ---nr RFC2557MIMEEncapsulation RFC 2557 MIME encapsulation
1.2.6.2 ---nr XMLEncoding XML Encoding
1.2.7.1 EL-n- SMPTEST211020UncompressedProgressiveActiveVideo SMPTE ST 2110-20 Uncompressed Progressive Active Video
1.2.7.2 EL-n- SMPTEST211020UncompressedInterlacedActiveVideo SMPTE ST 2110-20 Uncompressed Interlaced Active Video
1.2.7.3 EL-n- SMPTEST211030PCMDigitalAudio SMPTE ST 2110-30 PCM Digital Audio
1.2.8.1 ELcn- DeflatedImageFrameCompression Deflated Image Frame Compression
1.20 IL-nr Papyrus3ImplicitVRLittleEndian Papyrus 3 Implicit VR Little Endian
"""


def _read(row: str) -> TransferSyntax:
    tail, letters, keyword, name = row.split(" ", 3)
    vr, order, form, lossy, retired = tuple(letters)
    return TransferSyntax(
        uid=_ROOT + tail,
        keyword=keyword,
        name=name,
        implicit_vr={"I": True, "E": False}.get(vr),
        little_endian={"L": True, "B": False}.get(order),
        encapsulated=form == "c",
        deflated=form == "d",
        lossy=Lossy(lossy),
        retired=retired == "r",
    )


TRANSFER_SYNTAXES: Final[Mapping[str, TransferSyntax]] = MappingProxyType(
    {row.uid: row for row in map(_read, _ROWS.splitlines())}
)
"""Every transfer syntax of PS3.6 A-1, retired ones too, by UID."""


def is_encapsulated(uid: str) -> bool:
    """Whether Pixel Data comes in fragments (PS3.5 A.4); False for a UID that is not in the table."""
    syntax = TRANSFER_SYNTAXES.get(uid)
    return syntax is not None and syntax.encapsulated


def is_deflated(uid: str) -> bool:
    """Whether the whole data set is deflated (PS3.5 A.5); False for a UID that is not in the table."""
    syntax = TRANSFER_SYNTAXES.get(uid)
    return syntax is not None and syntax.deflated


def is_lossy(uid: str) -> bool:
    """Whether pixel data may have lost something in it; True where the encoder decides, and for the unknown."""
    syntax = TRANSFER_SYNTAXES.get(uid)
    return syntax is None or syntax.lossy is not Lossy.NO


def name_of(uid: str) -> str:
    """The name in PS3.6 A-1 of a transfer syntax; of anything else the UID as it is. Never fails."""
    syntax = TRANSFER_SYNTAXES.get(uid)
    return uid if syntax is None else syntax.name


_VALID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*", re.ASCII)


def normal(uid: str) -> str:
    """The form to compare: without the NULs and spaces some peers pad with."""
    return uid.strip(" \0")


def is_valid(uid: str) -> bool:
    """Whether this is a UID by PS3.5 9.1: components without leading zeros, at most 64 characters."""
    return len(uid) <= 64 and _VALID.fullmatch(uid) is not None
