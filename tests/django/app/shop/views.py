"""The views. Each counts how often it runs, under its own name."""

import hashlib
import secrets
import time
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.vary import vary_on_cookie

from shop import state

LINE = 16
STREAM_BLOCKS = 20
BLOCK = 1 << 20


def counted(view):
    @wraps(view)
    def run(request, *args, **kwargs):
        state.count(view.__name__)
        return view(request, *args, **kwargs)

    return run


@counted
@cache_control(public=True, max_age=600)
def front(request):
    return render(request, "front.html", {"made": secrets.token_hex(8)})


@counted
def news(request, slug):
    """A page that is soon stale. `made` tells one making of it from another."""
    response = render(request, "news.html", {"slug": slug, "made": secrets.token_hex(8)})
    response["Cache-Control"] = f"max-age={int(request.GET.get('max-age', 1))}"
    return response


@counted
@login_required
@cache_control(private=True, max_age=600)
def account(request):
    return render(request, "account.html")


@counted
@vary_on_cookie
@cache_control(max_age=600)
def greeting(request):
    """Names the user, and forgets to say that this is private: only `Vary: Cookie` does."""
    return render(request, "greeting.html")


@counted
@cache_control(max_age=600)
def welcome(request):
    """Gives every visitor without a session one of their own, on a page that says it may be shared."""
    visitor = request.session.setdefault("visitor", secrets.token_hex(8))
    return HttpResponse(f"You are visitor {visitor}.")


@counted
@login_required
def order(request):
    """A form that changes something; Django refuses it without the CSRF token."""
    if request.method == "POST":
        return HttpResponse(f"{request.user.get_username()} ordered {request.POST['item']}")
    return render(request, "order.html")


@counted
@vary_on_cookie
@cache_control(max_age=600)
def theme(request):
    return HttpResponse(f"The theme is {request.COOKIES.get('theme', 'plain')}.")


@counted
@cache_control(max_age=600)
def slow(request):
    time.sleep(1)
    state.held("slow")
    return HttpResponse("At last.")


def lines(block):
    """A block of numbered lines: whoever reads them sees what is missing, doubled or out of order."""
    first = block * (BLOCK // LINE)
    return b"".join(b"%015d\n" % n for n in range(first, first + BLOCK // LINE))


@counted
def stream(request):
    def body():
        for block in range(STREAM_BLOCKS):
            yield lines(block)
            if block == 0:
                state.held("stream")
            time.sleep(0.01)
        state.count("stream_end")

    response = StreamingHttpResponse(body(), content_type="text/plain")
    response["Cache-Control"] = request.GET.get("cache-control", "max-age=600")
    return response


@counted
@csrf_exempt
def upload(request):
    """Reads the body as it comes. From gunicorn itself: Django takes a body without Content-Length for none."""
    if request.method not in ("POST", "PUT"):
        return HttpResponseNotAllowed(["POST", "PUT"])
    digest, length = hashlib.sha256(), 0
    source = request.META["wsgi.input"]
    while piece := source.read(64 * 1024):
        if length == 0:
            state.count("upload_begin")
        digest.update(piece)
        length += len(piece)
    chunked = request.headers.get("Transfer-Encoding", "").lower() == "chunked"
    return JsonResponse({"sha256": digest.hexdigest(), "length": length, "chunked": chunked})


def healthz(request):
    return HttpResponse("well")
