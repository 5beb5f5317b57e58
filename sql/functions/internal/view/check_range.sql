-- The range of versions that a caller names.

create or replace function kata_data.check_range(context_id uuid, first_version bigint, last_version bigint, version bigint) returns int8range
language plpgsql immutable
as $$
begin
  if first_version between 1 and version and coalesce(last_version, first_version) between first_version and version then
    return int8range(first_version, coalesce(last_version, first_version), '[]');
  end if;
  if last_version < first_version or first_version is null then
    raise exception using
      errcode = 'KC017',
      message = 'the range of versions is empty',
      detail = format('It goes from %s to %s.', coalesce(first_version::text, 'null'), coalesce(last_version::text, 'null')),
      hint = 'Pass a first version, and a last one that is not below it, or null for just the first.';
  end if;
  raise exception using
    errcode = 'KC002',
    message = format('version %s not found', case when first_version between 1 and version then last_version else first_version end),
    detail = format('Context %s has versions 1 to %s.', context_id, version),
    hint = 'List the messages with kata.messages.';
end
$$;
comment on function kata_data.check_range(uuid, bigint, bigint, bigint) is
'The range of versions from a first to a last one (null: just the first). KC002, KC017.

version: the version that the context is at.';
