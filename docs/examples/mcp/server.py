"""A small MCP server over streamable HTTP whose bearer keys are checked by Keyward (POST /api-keys/verify).

Needs an API key of a platform administrator with the scope keys:verify, and the scope data:read in Keyward's catalogue.
"""

import os

import httpx2
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token

KEYWARD_URL = os.environ.get("KEYWARD_URL", "http://127.0.0.1:8080")
VERIFIER_KEY = os.environ["KEYWARD_VERIFIER_KEY"]
PORT = int(os.environ.get("PORT", "3000"))
NEEDED = ["data:read"]


class Keyward(TokenVerifier):
    """Asks Keyward about every key; it answers from memory, and a deleted key stops at once."""

    def __init__(self) -> None:
        self.client = httpx2.AsyncClient(
            base_url=KEYWARD_URL, headers={"Authorization": f"Bearer {VERIFIER_KEY}"}, timeout=5
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        reply = await self.client.post("/api-keys/verify", json={"key": token})
        # A bad caller is not a bad key: say that we are broken, not that the client is.
        reply.raise_for_status()
        answer = reply.json()
        if not answer["valid"]:
            return None
        return AccessToken(
            token=token,
            client_id=answer["key_id"],
            subject=answer["user"]["id"],
            scopes=answer["scopes"],
            claims={"username": answer["user"]["username"], "org": answer["org"]},
        )


server = MCPServer(
    "notes",
    token_verifier=Keyward(),
    auth=AuthSettings(
        issuer_url=KEYWARD_URL,
        resource_server_url=f"http://127.0.0.1:{PORT}/mcp",
        required_scopes=NEEDED,
        # Keys are made for the platform as a whole; what they may do is in their scopes.
        validate_token_resource=False,
    ),
)


@server.tool()
def who_am_i() -> str:
    """Whose key this is."""
    token = get_access_token()
    assert token is not None and token.claims is not None
    return f"{token.claims['username']} with {' '.join(token.scopes)}"


if __name__ == "__main__":
    server.run("streamable-http", port=PORT)
