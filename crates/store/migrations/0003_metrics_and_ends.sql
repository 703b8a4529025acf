-- A key with this right reads the metrics, and opens nothing else.
ALTER TABLE agent_keys ADD COLUMN metrics BIGINT NOT NULL DEFAULT 0;

-- The generation of whose end a person was told, because nothing renews it. Of what ended before there was this column
-- nobody was told.
ALTER TABLE connections ADD COLUMN end_told BIGINT;
