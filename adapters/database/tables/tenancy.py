"""Orgs, the domains they own, and how a domain changes hands."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from .schema import bounded, identifier, instant, json_data, metadata, of_domain, of_org, org_id

#: Bytes of the metadata a transfer token may carry.
MAX_METADATA_BYTES = 32 * 1024
#: Bytes of one setting.
MAX_SETTING_BYTES = 64 * 1024

#: Orgs for which not all is as the platform has it for everyone.
OWN_SHARE = "weight <> 1 OR region IS NOT NULL OR limits ? 'max_active'"

orgs = Table(
    "orgs",
    metadata,
    identifier("id"),
    bounded("name", 200),
    #: None: served by workers of any region.
    bounded("region", 64, nullable=True),
    #: Its share of the workers, relative to other orgs.
    Column(
        "weight",
        SmallInteger,
        CheckConstraint("weight BETWEEN 1 AND 1000", name="weight"),
        nullable=False,
        server_default=text("1"),
    ),
    #: Limits that differ from the platform's, by name.
    json_data("limits", 4096, default="{}"),
    instant("created_at", now=True),
    PrimaryKeyConstraint("id"),
    Index("ix_orgs_shares", "id", postgresql_where=text(OWN_SHARE)),
)

domain_registry = Table(
    "domain_registry",
    metadata,
    org_id(),
    identifier("id"),
    bounded("host", 253),
    instant("created_at", now=True),
    instant("transferred_at", nullable=True),
    identifier("transferred_from", nullable=True),
    PrimaryKeyConstraint("org_id", "id"),
    # Per org: a host another org has claimed must be neither blocked nor revealed.
    UniqueConstraint("org_id", "host"),
    of_org(),
)

domain_settings = Table(
    "domain_settings",
    metadata,
    org_id(),
    identifier("domain_id"),
    bounded("name", 100),
    json_data("value", MAX_SETTING_BYTES),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("org_id", "domain_id", "name"),
    of_domain(),
)

#: A token stays with the org that issued it and names the domain without a reference on purpose: one that followed
#: the domain would let the former owner's other tokens take it away from the new one.
domain_transfer_tokens = Table(
    "domain_transfer_tokens",
    metadata,
    org_id(),
    identifier("id"),
    Column(
        "token_hash",
        LargeBinary,
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash_sha256"),
        nullable=False,
    ),
    identifier("domain_id", nullable=True),
    identifier("receiver_org_id", nullable=True),
    bounded("issued_by", 256, nullable=True),
    json_data("metadata", MAX_METADATA_BYTES, default="{}"),
    instant("created_at", now=True),
    instant("expires_at"),
    instant("used_at", nullable=True),
    bounded("used_by", 256, nullable=True),
    PrimaryKeyConstraint("org_id", "id"),
    UniqueConstraint("token_hash"),
    of_org(),
    of_org("receiver_org_id"),
    Index("ix_domain_transfer_tokens_receiver", "receiver_org_id"),
    Index("ix_domain_transfer_tokens_domain", "org_id", "domain_id"),
)
