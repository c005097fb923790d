"""Which view answers which path."""

from django.contrib.auth.views import LoginView, LogoutView
from django.contrib.staticfiles.views import serve
from django.urls import path

from shop import views

urlpatterns = [
    path("", views.front),
    path("news/<slug:slug>/", views.news),
    path("login/", LoginView.as_view(template_name="login.html")),
    path("logout/", LogoutView.as_view()),
    path("account/", views.account),
    path("greeting/", views.greeting),
    path("welcome/", views.welcome),
    path("order/", views.order),
    path("theme/", views.theme),
    path("slow/", views.slow),
    path("stream/", views.stream),
    path("upload/", views.upload),
    path("healthz/", views.healthz),
    path("static/<path:path>", serve, {"insecure": True}),
]
