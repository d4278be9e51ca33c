"""The way to a target: its address is checked and its credentials are opened before anything is sent."""

import json
from dataclasses import replace
from uuid import uuid4

import pytest
from pydantic import SecretStr

from adapters.credentials import CredentialBox, WebhookCredentials, WordPressCredentials
from adapters.net.outbound_policy import OutboundPolicy
from adapters.publishing import SitePublishers
from adapters.publishing.webhook import WebhookPublisher
from adapters.publishing.wordpress import WordPressPublisher
from app.bootstrap.jobs.publishers import site_publishers
from app.dev.wordpress_site import SiteUser, WordPressSite
from app.settings import Settings, SettingsError, load_settings
from domain.errors import AuthFailed, InvalidInput, InvalidReply, ProviderUnavailable
from domain.publishing import Post, RetryOptions
from tests.adapters.ai.scripted_server import answer, refused_url, scripted_server

from .conftest import USERS, Way
from .journals import MemoryJournal

WEBHOOK = WebhookCredentials(secret=SecretStr("whsec planted 0123456789"))
OPTIONS = RetryOptions(retries=0)


def wordpress(user: SiteUser) -> WordPressCredentials:
    """A user's credentials."""
    return WordPressCredentials(username=user.name, application_password=SecretStr(user.application_password))


def test_the_adapter_decides(way: Way) -> None:
    """Each kind of target gets its own protocol."""
    target = way.target("http://127.0.0.1:1/", wordpress(USERS[0]))
    assert isinstance(way.publishers(target, OPTIONS), WordPressPublisher)
    assert isinstance(way.publishers(way.target("http://127.0.0.1:1/", WEBHOOK), OPTIONS), WebhookPublisher)


@pytest.mark.parametrize(
    "address", ["http://10.0.0.1/", "https://user:planted@blog.example/", "ftp://blog.example/", "nonsense"]
)
def test_an_address_that_may_not_be_called_is_refused(way: Way, address: str) -> None:
    """Before anything else."""
    with pytest.raises(InvalidInput) as caught:
        way.publishers(way.target(address, WEBHOOK), OPTIONS)
    assert "planted" not in str(caught.value)


def test_credentials_that_do_not_open_are_refused(way: Way) -> None:
    """Those of another target, of another key, and of another kind."""
    target = way.target("http://127.0.0.1:1/", WEBHOOK)
    others = CredentialBox([SecretStr("o" * 32)]).encrypt(target.target_id, WEBHOOK)
    for wrong, says in (
        (replace(target, target_id=uuid4()), "for another one"),
        (replace(target, credentials=others), "PRESSROOM_SECRET_KEYS"),
        (replace(target, adapter="wordpress"), "are for webhook"),
    ):
        with pytest.raises(AuthFailed, match=says) as caught:
            way.publishers(wrong, OPTIONS)
        assert "planted" not in str(caught.value)


def test_a_target_is_kept_from_this_machine_by_default(site: WordPressSite, way: Way) -> None:
    """Without the settings that allow it, nothing on loopback is called."""
    target = way.target(site.url, wordpress(USERS[0]))
    with (
        SitePublishers(lambda: way.box, OutboundPolicy(allow_http=True)) as strict,
        pytest.raises(InvalidInput),
    ):
        strict(target, OPTIONS)
    assert site.requests == 0


@pytest.mark.parametrize("credentials", [wordpress(USERS[0]), WEBHOOK], ids=["wordpress", "webhook"])
def test_a_name_that_leads_inside_is_refused_when_it_is_called(
    way: Way, credentials: WordPressCredentials | WebhookCredentials
) -> None:
    """It could not be known from the address; the job ends for good, and nobody was called."""
    asked: list[str] = []

    def inside(host: str, port: int, timeout_s: float) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"]

    post = Post(key="crumbs-36b1b0bafdaf", title="Title", body="Text")
    with SitePublishers(lambda: way.box, OutboundPolicy(), lookup=inside) as strict:
        publisher = strict(way.target("https://blog.example", credentials), RetryOptions())
        with pytest.raises(InvalidInput, match=r"blog\.example is not on the public internet"):
            publisher.publish(post, MemoryJournal())
    assert asked == ["blog.example"]


def test_a_site_is_checked_without_a_trace(site: WordPressSite, way: Way) -> None:
    """Who may publish is told from who may not; nothing is written there."""
    ready = way.publishers.check(way.target(site.url, wordpress(USERS[0])), timeout_s=5)
    not_ready = way.publishers.check(way.target(site.url, wordpress(USERS[1])), timeout_s=5)

    assert (ready.is_ready, not_ready.is_ready) == (True, False)
    assert "Author or Editor" in not_ready.message
    assert (site.posts(), site.operations) == ([], ["other", "other"])
    stranger = SiteUser(name="editor", application_password="planted")
    with pytest.raises(AuthFailed, match="make a new one"):
        way.publishers.check(way.target(site.url, wordpress(stranger)), timeout_s=5)


def test_a_webhook_is_checked_without_a_post(way: Way) -> None:
    """Anything but an outage will do, and nothing is sent that it could take for a post."""
    with scripted_server() as hook:
        hook.script(answer(405))
        checked = way.publishers.check(way.target(hook.url, WEBHOOK), timeout_s=5)

        assert (checked.is_ready, "405" in checked.message) == (True, True)
        assert [(request.method, request.body) for request in hook.received] == [("HEAD", b"")]
    with refused_url() as url, pytest.raises(ProviderUnavailable):
        way.publishers.check(way.target(url, WEBHOOK), timeout_s=5)


def test_settings_decide_what_may_be_reached(site: WordPressSite) -> None:
    """Wired as workers do it, a post arrives."""
    settings = Settings(
        secret_keys=(SecretStr("k" * 32),), publish_allow_http=True, publish_allowed_networks=("127.0.0.0/8",)
    )
    target = Way(None, CredentialBox(settings.secret_keys)).target(site.url, wordpress(USERS[0]))  # type: ignore[arg-type]
    post = Post(key="crumbs-36b1b0bafdaf", title="Title", body="Text")

    with site_publishers(settings) as publishers:
        assert publishers(target, OPTIONS).publish(post, MemoryJournal()).is_public
    without_keys = settings.model_copy(update={"secret_keys": ()})
    with site_publishers(without_keys) as keyless, pytest.raises(InvalidInput, match="PRESSROOM_SECRET_KEYS"):
        keyless(target, OPTIONS)


@pytest.mark.parametrize("wrong", ["127.0.0.1/8", "localhost", "10.0.0.0/33", ""])
def test_networks_that_are_none_are_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When settings are read, with what they look like."""
    monkeypatch.setenv("PRESSROOM_PUBLISH_ALLOWED_NETWORKS", json.dumps([wrong]))
    with pytest.raises(SettingsError, match=r"PRESSROOM_PUBLISH_ALLOWED_NETWORKS.*like 10\.1\.0\.0/16"):
        load_settings()


def test_a_site_elsewhere_on_the_page_is_no_api(way: Way) -> None:
    """A web page where the API should be is told apart from an outage."""
    with scripted_server() as server:
        server.script(answer(200, b"<html>"))
        with pytest.raises(InvalidReply, match="not the JSON"):
            way.publishers.check(way.target(server.url, wordpress(USERS[0])), timeout_s=5)
