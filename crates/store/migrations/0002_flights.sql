-- The flight that a mark belongs to: it names the courier's files, and the key in `sealed` of the kind `flight`.
ALTER TABLE connections ADD COLUMN flight TEXT;

-- A mark of before there were couriers names a flight of which there is neither key nor file: its reply is lost. Any
-- identifier says so that is no flight's, and the connection's own is one.
UPDATE connections SET flight = id WHERE refreshing IS NOT NULL;
