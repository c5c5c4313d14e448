"""Secrets in settings: refused wherever they stand, before anything is written, and never repeated."""

import pytest

from seke.core.errors import UserError
from seke.core.secrecy import check

KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"backend": {"extra_body": {"api_key": "anything"}}}, "backend.extra_body.api_key"),
        ({"fallback": {"extra_body": {"headers": {"Authorization": "Basic QWxh"}}}}, "fallback.extra_body.headers"),
        ({"judge": {"vlm": {"extra_body": {"user": [KEY]}}}}, "judge.vlm.extra_body.user"),
        ({"captioner": {"vlm": {"base_url": f"https://me:{KEY}@host/v1"}}}, "captioner.vlm.base_url"),
        ({"backend": {"base_url": f"https://host/{KEY}/v1"}}, "backend.base_url"),
        ({"backend": {"base_url": "https://host/v1?code=1&token=anything"}}, "backend.base_url"),
    ],
)
def test_a_secret_in_any_servers_settings_is_refused_by_name_and_not_repeated(settings: object, named: str) -> None:
    with pytest.raises(UserError, match="would stand in the run's files") as failure:
        check(settings)
    assert str(failure.value).startswith(named) and KEY not in str(failure.value)
    assert "anything" not in str(failure.value)


def test_what_only_looks_like_one_passes() -> None:
    check({"model": {"path": "hf-internal-testing/tiny-random"}, "name": "key-emotions-v2"})
    check({"backend": {"base_url": "https://me.openai.azure.com/openai?api-version=2024-10-21", "extra_body": None}})
    check({"backend": {"base_url": "http://[bad", "extra_body": {"max_tokens": 5, "stop": ["token"], "top_k": 1}}})
