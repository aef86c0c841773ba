-- A session that nobody uses ends before its time.

-- The default serves sessions that an older version makes or has made: they end by `expires_at`.
ALTER TABLE hub.session ADD COLUMN idle_at timestamptz NOT NULL DEFAULT 'infinity';
COMMENT ON COLUMN hub.session.idle_at IS 'When it ends unless it is used before.';

CREATE OR REPLACE FUNCTION hub.verify_token(hash bytea)
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
    WHERE s.token_hash = hash AND s.expires_at > now() AND s.idle_at > now();
$$;
