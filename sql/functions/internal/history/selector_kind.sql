-- Tells the kinds of selectors apart, by their form alone.

create or replace function kata_data.selector_kind(selector text) returns text
language sql immutable
as $$
  select case
    when selector ~ '^[0-9]+$' then 'version'
    when selector ~* '^head(~.*)?$' collate kata_data.c_utf8 then 'head'
    when selector ~* '^[0-9]{4}-[0-9]{2}-[0-9]{2}([t ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?(z|[+-][0-9]{2}(:?[0-9]{2})?))?)?$' collate kata_data.c_utf8
      or selector ~* '^[0-9]{8}t[0-9]{4}([0-9]{2}([.,][0-9]+)?)?(z|[+-][0-9]{2}(:?[0-9]{2})?)?$' collate kata_data.c_utf8 then 'time'
    else 'name'
  end
$$;
comment on function kata_data.selector_kind(text) is
'What a selector looks like: version, head, time (ISO 8601) or, else, the name of a checkpoint.';
