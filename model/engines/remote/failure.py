"""Why a server did not answer, in the words that users read; never what it was asked, nor what it said."""

from __future__ import annotations


class ServerError(Exception):
    """The message is the rest of a sentence that begins with the server's name."""


_STATUSES = {
    401: "refuses the API key",
    403: "refuses the API key",
    404: "does not serve this model, or is no vLLM",
    408: "took too long",
    413: "takes no request as long as this",
    429: "has too much to do",
}


def of_status(status: int) -> ServerError:
    """What an HTTP status other than 200 means."""
    if 300 <= status < 400:
        return ServerError("sends us elsewhere, where nothing of yours goes")
    kind = "has an error of its own" if status >= 500 else "refuses the request"
    return ServerError(f"{_STATUSES.get(status, kind)} (HTTP {status})")


NO_COMPLETION = "answers what is no completion"
TOO_MUCH = "answers more than was asked for"
CUT_OFF = "cut its answer off"
