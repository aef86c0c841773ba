-- Projects, people, tokens, sessions and the audit log.

CREATE TABLE hub.project (
    id         uuid PRIMARY KEY,
    slug       text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deleting')),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE hub.project IS 'Other services store only the id.';

CREATE TABLE hub.app_user (
    id            uuid PRIMARY KEY,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    all_projects  boolean NOT NULL,
    projects      uuid[] NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_sign_in_at timestamptz
);
CREATE UNIQUE INDEX app_user_name ON hub.app_user (lower(name));
COMMENT ON COLUMN hub.app_user.password_hash IS 'argon2id in PHC form.';

CREATE TABLE hub.session (
    token_hash bytea PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES hub.app_user (id) ON DELETE CASCADE,
    csrf       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_by_user ON hub.session (user_id);
CREATE INDEX session_expiry ON hub.session (expires_at);
COMMENT ON COLUMN hub.session.token_hash IS
    'SHA-256 of the cookie; the cookie is what the hub forwards as a bearer token.';

CREATE TABLE hub.api_token (
    id           uuid PRIMARY KEY,
    token_hash   bytea NOT NULL UNIQUE,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin', 'service')),
    all_projects boolean NOT NULL,
    projects     uuid[] NOT NULL DEFAULT '{}',
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE UNIQUE INDEX api_token_service ON hub.api_token (name) WHERE role = 'service';
COMMENT ON COLUMN hub.api_token.token_hash IS 'SHA-256; the clear text is shown once.';

CREATE TABLE hub.audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor_id   text NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL,
    object     text NOT NULL,
    object_id  text NOT NULL,
    project_id uuid,
    before     jsonb,
    after      jsonb
);
CREATE INDEX audit_at ON hub.audit (at);
COMMENT ON TABLE hub.audit IS 'Who did what to which object; never a secret; kept one year.';

-- The one thing that other services read of the hub: who a token belongs to. It runs with the
-- owner's rights, so that a service needs no right on the tables.
CREATE FUNCTION hub.verify_token(hash bytea)
RETURNS TABLE (id text, name text, role text, all_projects boolean, projects uuid[])
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
AS $$
    UPDATE hub.api_token t SET last_used_at = now()
    WHERE t.token_hash = hash
      AND (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute');
    SELECT t.id::text, t.name, t.role, t.all_projects, t.projects
    FROM hub.api_token t
    WHERE t.token_hash = hash AND t.revoked_at IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > now())
    UNION ALL
    SELECT u.id::text, u.name, u.role, u.all_projects, u.projects
    FROM hub.session s JOIN hub.app_user u ON u.id = s.user_id
    WHERE s.token_hash = hash AND s.expires_at > now();
$$;
