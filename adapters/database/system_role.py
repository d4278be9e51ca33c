"""Who may take the system role, which sees every org, and why. A test compares this list with the code.

Everything else works for one org at a time, and row-level security makes the others' rows not exist.
"""

#: Module by module.
USERS = {
    "adapters.database.audit": "adds rows about operators, who act for no org",
    "adapters.database.dead_letters": "keeps letters of any org, and those that could not be read",
    "adapters.database.history": "writes attempts of all orgs in one batch",
    "adapters.database.maintenance": "removes what is past its retention, of every org",
    "adapters.database.media": "moves and deletes media of every org",
    "adapters.database.orgs": "lists orgs for operators; an org's own caller reads its own, as that org",
    "adapters.database.org_shares": "finds every org that has a weight, limit or region of its own",
    "adapters.database.scheduling": "finds content of every org that is due",
    "adapters.database.schedules": "fires every org's schedules; lists them for operators",
    "adapters.database.targets": "encrypts every org's credentials again; lists and switches targets for operators",
    "adapters.database.transfers": "moves a domain from one org to another",
    "adapters.outbox.relay": "sends what every org has committed",
    "adapters.outbox.sending": "takes jobs of any org from the platform's own transactions",
    "app.bootstrap.jobs.database_maintenance": "wires database_maintenance",
    "app.bootstrap.jobs.media_cleanup": "wires media_cleanup",
    "app.bootstrap.jobs.content_scheduler": "wires content_scheduler",
    "app.bootstrap.worker.schedules": "wires the duty that fires schedules",
    "app.bootstrap.jobs.domain_transfer": "wires domain_transfer",
    "app.dev.demo.seed": "writes the demo's orgs",
    "app.dev.demo.topics.transfers": "looks at both sides of the demo's transfer",
}
