"""The PDU codec: six header bytes (whose length field does not count) and a body.

Any bytes are refused with ``RemoteProtocolError``, or are a value that encodes to the same bytes. What may
be asked of the value is documented too: it is linted, answered, and what we answer is agreed by both ends.
"""

from __future__ import annotations

from harness import run

from sansdimse import DEFAULT, LENIENT, STRICT, VERIFICATION, Acceptor, PresentationContext, Requestor
from sansdimse.errors import RemoteProtocolError
from sansdimse.ul.agreement import agree
from sansdimse.ul.explain import explain
from sansdimse.ul.lint import lint
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ, decode_pdu

CT = "1.2.840.10008.5.1.4.1.1.2"
CONTEXTS = (PresentationContext(VERIFICATION, scp=True), PresentationContext(CT, scp=True))
PROFILES = (DEFAULT, LENIENT, STRICT)
ACCEPTORS = [Acceptor("ANY-SCP", CONTEXTS, any_storage=True, profile=profile) for profile in PROFILES]
REQUEST = propose(Requestor("ME", "ANY-SCP", CONTEXTS))


def check(data: bytes) -> None:
    """Bytes that decode encode to themselves; all else is a ``RemoteProtocolError``."""
    if len(data) < 6:
        return
    pdu_type, reserved, body = data[0], data[1], data[6:]
    try:
        pdu = decode_pdu(pdu_type, body, reserved)
    except RemoteProtocolError:
        return
    encoded = pdu.encode()
    assert encoded == bytes((pdu_type, reserved)) + len(body).to_bytes(4, "big") + body
    assert decode_pdu(pdu_type, encoded[6:], reserved) == pdu
    assert repr(pdu)
    lint(pdu)
    if isinstance(pdu, AAssociateRQ):
        for acceptor in ACCEPTORS:
            _answered(acceptor, pdu)
    if isinstance(pdu, AAssociateAC):
        lint(pdu, REQUEST)
        for profile in PROFILES:
            try:
                agree(REQUEST, pdu, requestor=True, profile=profile)
            except RemoteProtocolError:
                continue


def _answered(acceptor: Acceptor, request: AAssociateRQ) -> None:
    """What we answer can be sent, and a requestor that reads it understands the same as we do."""
    response = answer(acceptor, request)
    assert decode_pdu(response.PDU_TYPE, response.encode()[6:]) == response
    assert all(map(str, explain(request, acceptor)))
    if isinstance(response, AAssociateRJ):
        assert not lint(response)
        return
    theirs = agree(request, response, requestor=True, profile=LENIENT)
    try:
        ours = agree(request, response, requestor=False, profile=acceptor.profile)
    except RemoteProtocolError:  # a maximum length without room for a fragment
        return
    assert [(c.id, c.transfer_syntax) for c in ours.accepted] == [(c.id, c.transfer_syntax) for c in theirs.accepted]
    assert [(c.as_scu, c.as_scp) for c in ours.accepted] == [(c.as_scp, c.as_scu) for c in theirs.accepted]


if __name__ == "__main__":
    raise SystemExit(run(check))
