import logging

from nexus_sdk import Request, Response, http


@http
def handle(request: Request) -> Response:
    name = request.query.get("name") or ((request.json() or {}).get("name") if request.body else None) or "you"
    logging.info("greeting", extra={"greeted": name})
    return Response(f"Hello, {name}!\n")
