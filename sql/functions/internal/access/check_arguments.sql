-- Checks of arguments that several functions take.

create or replace function kata_data.check_max_rows(max_rows integer) returns void
language plpgsql immutable
as $$
begin
  if max_rows between 1 and 1000 then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'max_rows is out of range',
    detail = format('It is %s.', coalesce(max_rows::text, 'null')),
    hint = 'Pass 1 to 1000, and read on with the cursor.';
end
$$;
comment on function kata_data.check_max_rows(integer) is 'Refuses a page size that is not 1 to 1,000. KC017.';

create or replace function kata_data.check_list(what text, length integer) returns void
language plpgsql immutable
as $$
begin
  if length > 10000 then
    raise exception using
      errcode = 'KC017',
      message = format('%s has too many elements', what),
      detail = format('It has %s; at most 10000 fit.', length),
      hint = 'Pass a part of the list per call.';
  end if;
end
$$;
comment on function kata_data.check_list(text, integer) is 'Refuses a list of more than 10,000 elements. KC017.';

create or replace function kata_data.check_name(name text) returns void
language plpgsql immutable
as $$
begin
  if name is null or length(name) between 1 and 255 then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'name is too long or empty',
    detail = format('It has %s characters.', length(name)),
    hint = 'Pass 1 to 255 characters, or null for no name.';
end
$$;
comment on function kata_data.check_name(text) is 'Refuses a name that is not 1 to 255 characters. KC017.';

create or replace function kata_data.check_metadata(metadata jsonb) returns void
language plpgsql immutable
as $$
declare
  v_detail text := case
    when jsonb_typeof(metadata) is distinct from 'object' then format('It is %s.', coalesce(jsonb_typeof(metadata), 'null'))
    when octet_length(metadata::text) > 65536 then format('It is %s bytes long.', octet_length(metadata::text))
    when not kata_data.json_fits(metadata) then 'It nests more than 100 deep, or holds a number beyond 1e308.'
  end;
begin
  if v_detail is null then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'metadata must be an object of at most 64 kB',
    detail = v_detail,
    hint = 'Store large values elsewhere and refer to them.';
end
$$;
comment on function kata_data.check_metadata(jsonb) is 'Refuses metadata of a context that are not an object, or over 64 kB. KC017.';

create or replace function kata_data.check_visibility(visibility text) returns void
language plpgsql immutable
as $$
begin
  if visibility in ('effective', 'raw', 'all') then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('visibility "%s" is unknown', coalesce(left(visibility, 100), 'null')),
    detail = 'The visibility selects which messages are listed.',
    hint = 'Pass effective, raw or all.';
end
$$;
comment on function kata_data.check_visibility(text) is 'Refuses a visibility that is not effective, raw or all. KC017.';
