"""Security headers on every answer."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HSTS = "max-age=31536000"


class SecurityHeaders:
    """ASGI middleware; `consent_origins` are the other sites to which our forms may lead.

    Browsers apply form-action to redirects too: the connect page's form is redirected to
    QuickBooks' consent, which may redirect to Intuit's log-in.
    """

    def __init__(self, app: ASGIApp, *, https: bool, consent_origins: tuple[str, ...]) -> None:
        self.app = app
        headers = {
            "Content-Security-Policy": "; ".join(
                [
                    "default-src 'none'",
                    "script-src 'self'",
                    "style-src 'self'",
                    "img-src 'self'",
                    "connect-src 'self'",
                    " ".join(["form-action 'self'", *consent_origins]),
                    "frame-ancestors 'none'",
                    "base-uri 'none'",
                ]
            ),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        if https:
            headers["Strict-Transport-Security"] = _HSTS
        # In ASGI's form, built once.
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                ours = [header for header in self._headers if header[0] not in given]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        await self.app(scope, receive, send_with_headers)
