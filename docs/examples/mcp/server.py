"""A small MCP server over streamable HTTP that verifies API keys with Keyward (POST /api-keys/verify).

It needs an API key of a platform admin with the scope keys:verify (KEYWARD_VERIFIER_KEY), and the scope data:read in
Keyward's scope catalog (KEYWARD_SCOPES_FILE).
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
REQUIRED_SCOPES = ["data:read"]


class KeywardVerifier(TokenVerifier):
    """Verifies each key with Keyward. The results are not cached here, so that a deleted key is rejected at once."""

    def __init__(self) -> None:
        self.client = httpx2.AsyncClient(
            base_url=KEYWARD_URL, headers={"Authorization": f"Bearer {VERIFIER_KEY}"}, timeout=5
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        response = await self.client.post("/api-keys/verify", json={"key": token})
        # An error means that this server may not verify keys, or that Keyward is unavailable. The client's key may be valid.
        response.raise_for_status()
        verification = response.json()
        if not verification["valid"]:
            return None
        return AccessToken(
            token=token,
            client_id=verification["key_id"],
            subject=verification["user"]["id"],
            scopes=verification["scopes"],
            claims={"username": verification["user"]["username"], "org": verification["org"]},
        )


server = MCPServer(
    "notes",
    token_verifier=KeywardVerifier(),
    auth=AuthSettings(
        issuer_url=KEYWARD_URL,
        resource_server_url=f"http://127.0.0.1:{PORT}/mcp",
        required_scopes=REQUIRED_SCOPES,
        # An API key is valid for all services of the platform; its scopes limit what it may do.
        validate_token_resource=False,
    ),
)


@server.tool()
def who_am_i() -> str:
    """Returns the owner and the scopes of the API key."""
    token = get_access_token()
    assert token is not None and token.claims is not None
    return f"{token.claims['username']} with {' '.join(token.scopes)}"


if __name__ == "__main__":
    server.run("streamable-http", port=PORT)
