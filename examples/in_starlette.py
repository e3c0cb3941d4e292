"""Associations in a Starlette application: it receives images and asks other AEs, in the loop of its web server.

``uvicorn in_starlette:app`` serves it. Run as it is, it stores an image in itself and asks itself by HTTP, without a
web server.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pydicom
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sansdimse import SUCCESS, VERIFICATION, Status
from sansdimse_asyncio import AssociationLost, Destination, Store, associate, serve
from sansdimse_files import async_received_file, contexts_for

PORT = 0  # 11112, say; 0 takes a free one
PEERS: dict[str, Destination] = {}  # whom the web may ask us to ask; nobody else


class Archive:
    """Keeps what it gets in a folder, and says what that was."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.received: list[dict[str, str]] = []

    async def c_store(self, store: Store) -> Status:
        async with async_received_file(store, self.folder):
            pass
        self.received.append({"instance": store.sop_instance_uid, "from": store.association.calling_ae_title})
        return SUCCESS


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The DICOM server lives as long as the application; leaving lets its associations end."""
    with tempfile.TemporaryDirectory() as folder:
        app.state.archive = Archive(folder)
        async with serve(
            "127.0.0.1", PORT, app.state.archive, ae_title="WEB", supports=[VERIFICATION], any_storage=True
        ) as server:
            PEERS["myself"] = Destination("127.0.0.1", server.port, "WEB")
            yield


async def received(request: Request) -> JSONResponse:
    """What came so far."""
    return JSONResponse(request.app.state.archive.received)


async def echo(request: Request) -> JSONResponse:
    """Whether a peer is there. Who closes his browser cancels it: the association is aborted then."""
    peer = PEERS.get(request.path_params["name"])
    if peer is None:
        return JSONResponse({"error": "no such peer"}, status_code=404)
    try:
        async with (
            asyncio.timeout(10),
            associate(peer.host, peer.port, called=peer.called, calling="WEB", contexts=[VERIFICATION]) as association,
        ):
            status = await association.c_echo()
    except (AssociationLost, TimeoutError) as error:
        return JSONResponse({"error": str(error)}, status_code=502)
    return JSONResponse({"status": str(status)})


app = Starlette(routes=[Route("/received", received), Route("/peers/{name}/echo", echo)], lifespan=lifespan)


async def main() -> None:
    """Store an image in the application, and look at it by HTTP."""
    image = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")
    async with app.router.lifespan_context(app), web:
        port = PEERS["myself"].port
        async with associate("127.0.0.1", port, calling="ME", called="WEB", contexts=contexts_for([image])) as peer:
            print("C-STORE:", await peer.c_store(image))
        for path in ("/received", "/peers/myself/echo", "/peers/nobody/echo"):
            response = await web.get(path)
            print(path, response.status_code, response.json())


if __name__ == "__main__":
    asyncio.run(main())
