"""Settings by name: which a project may have of its own, which are secret, which may differ between processes."""

PROJECT_OPTIONS = (
    "attributes",
    "audio_field",
    "batch_size",
    "channel",
    "classes",
    "count_untouched",
    "method",
    "notify_url",
    "test_share",
    "prelabel",
    "most_per_recording",
    "most_per_speaker",
    "moved_on_hours",
    "moved_on_votes",
    "question",
    "random_share",
    "recording_field",
    "relabel_share",
    "seed",
    "seed_size",
    "serve_predictions",
    "source",
    "speaker_field",
    "strategy",
    "tapt",
    "votes_needed",
)
"""Settings that a project's connection may override (Label Studio: Settings > Model > Extra params, as JSON)."""

SECRETS = ("notify_url", "notify_secret", "label_studio_api_key", "basic_auth_pass", "redis_url")
"""Settings that no message shows: an address may hold a password."""

MAY_DIFFER = (
    "label_studio_url", "label_studio_timeout", "audio_timeout", "model_dir", "redis_url", "host", "port",
    "basic_auth_user", "basic_auth_pass", "reconcile_seconds", "log_format", "device",
)  # fmt: skip
"""Settings that each process of one MODEL_DIR may have as it likes: they don't change what is learned."""

OLD_NAMES = {"exam_share": "test_share"}
"""Settings by the name that they had, which is still read."""
