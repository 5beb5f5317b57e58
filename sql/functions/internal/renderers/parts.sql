-- Content parts that some forms have to move, to put into words, or to refuse.

create or replace function kata_data.media_parts(parts jsonb, format text) returns jsonb
language sql immutable
as $$
  select case when parts is not null then (
    select jsonb_agg(p.part order by p.ordinality)
    from jsonb_array_elements(parts) with ordinality p(part, ordinality)
    cross join lateral kata_data.read_medium(p.part) r
    where r.kind is not null
      and r.words is null
      and not (format = 'gemini' and p.part ->> 'type' in ('inline_data', 'file_data')))
  end
$$;
comment on function kata_data.media_parts(jsonb, text) is
'The media among the parts of a result that the form has no place for there; null where there are none.';

create or replace function kata_data.without_media(parts jsonb) returns jsonb
language sql immutable
as $$
  select coalesce(jsonb_agg(p.part order by p.ordinality), '[]')
  from jsonb_array_elements(parts) with ordinality p(part, ordinality)
  cross join lateral kata_data.read_medium(p.part) r
  where r.words is not null
    or (r.kind is null and p.part ->> 'type' not in ('inline_data', 'file_data'))
$$;
comment on function kata_data.without_media(jsonb) is 'Parts less the media among them; documents that are text stay.';

create or replace function kata_data.search_result_text(part jsonb) returns text
language sql stable
as $$
  select concat_ws(E'\n', part ->> 'title', part ->> 'source', kata_data.parts_text(part -> 'content'))
$$;
comment on function kata_data.search_result_text(jsonb) is 'A search result as text.';

create or replace function kata_data.refuse_part(part jsonb, version bigint, format text) returns jsonb
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC022',
    message = pg_catalog.format('content cannot be translated into the form %s', format),
    detail = pg_catalog.format('Version %s has a part of type "%s", which the form has no place for.', version, left(part ->> 'type', 100)),
    hint = 'Ask for the form in which the message came, or delete it and append it in another form.';
end
$$;
comment on function kata_data.refuse_part(jsonb, bigint, text) is 'Refuses a part that a form has no place for. KC022.';

create or replace function kata_data.with_fields(part jsonb, required text[], optional text[]) returns jsonb
language sql immutable
as $$
  select case when part ?& required then (
    select jsonb_object_agg(f.key, f.value)
    from jsonb_each(part) f
    where f.key = 'type' or f.key = any (required) or (f.key = any (optional) and f.value <> 'null'))
  end
$$;
comment on function kata_data.with_fields(jsonb, text[], text[]) is 'A part with these fields only; null where a required one is missing.';

create or replace function kata_data.object_field(part jsonb, name text) returns jsonb
language sql stable
as $$
  select case when jsonb_typeof(part -> name) = 'object' then jsonb_build_object(name, part -> name) else '{}' end
$$;
comment on function kata_data.object_field(jsonb, text) is 'A field of a part whose value is an object, as an object; an empty one without it.';

create or replace function kata_data.data_url(media_type text, data text) returns text
language sql immutable
as $$
  select 'data:' || nullif(media_type, '') || ';base64,' || nullif(data, '')
$$;
comment on function kata_data.data_url(text, text) is 'Data in base64 as a URL; null where there is none.';

create or replace function kata_data.words_beside(provider jsonb) returns text
language sql immutable
as $$
  select case when not kata_data.is_blank(provider ->> 'refusal') then provider ->> 'refusal' when jsonb_typeof(provider -> 'audio') = 'object' then '[audio]' end
$$;
comment on function kata_data.words_beside(jsonb) is
'The refusal beside an answer that is empty, or a mark of its sound, in forms that have no place for them; null for none.';
