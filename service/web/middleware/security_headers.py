"""Headers on every answer that tell browsers what our pages never do."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HSTS = "max-age=31536000"


class SecurityHeaders:
    """ASGI middleware; `consent_origins` are the sites to which our forms may lead.

    Browsers hold a form's redirects to form-action too, and the form of the connect page is
    redirected to QuickBooks' consent, which may redirect on to Intuit's log-in.
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
        # As ASGI has them, made once and not for each answer.
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
