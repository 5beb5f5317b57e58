create or replace function kata_data.estimate_tokens(content text) returns integer language sql immutable strict parallel safe as $$ select ceil(octet_length(content)/3.0)::int $$;
