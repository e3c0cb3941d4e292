"""The Verification Service Class (PS3.4 Annex A): C-ECHO."""

from __future__ import annotations

from sansdimse.dimse.messages import CEchoRQ, CEchoRSP
from sansdimse.dimse.status import SUCCESS
from sansdimse.services.operation import Performed


class EchoSCP(Performed):
    """A C-ECHO of the peer, to be answered."""

    request: CEchoRQ

    def respond(self, status: int = SUCCESS, *, error_comment: str | None = None) -> None:
        """Answer it; Success is what the standard foresees (PS3.7 Table 9.3-13).

        Raises ``LocalProtocolError`` if it was answered or the association ended.
        """
        self._check_open()
        status = self._final(status)
        self._performer.send_response(
            self,
            CEchoRSP(
                message_id_being_responded_to=self.message_id,
                affected_sop_class_uid=self.sop_class_uid,
                status=status,
                error_comment=error_comment,
            ),
        )
