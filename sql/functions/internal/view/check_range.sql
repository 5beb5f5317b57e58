-- Ranges of versions that a caller names: what they may be, and whole groups in place of parts of them.

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
    hint = 'List what there is with kata.messages.';
end
$$;
comment on function kata_data.check_range(uuid, bigint, bigint, bigint) is
'The range of versions from first_version to last_version (null: just the first) of a context that is at a version. KC002, KC017.';

create or replace function kata_data.whole_groups(context_id uuid, versions int8multirange, at bigint) returns int8multirange
language plpgsql stable
as $$
begin
  return versions + kata_data.group_members(context_id, array(
    select distinct m.group_version
    from kata_data.path_messages(whole_groups.context_id, versions) m
    where m.group_version < m.version or m.tool_calls is not null), at);
end
$$;
comment on function kata_data.whole_groups(uuid, int8multirange, bigint) is
'Some versions, and the rest up to `at` of the groups that they touch. Cost: O(messages + groups × fork depth).';

create or replace function kata_data.refuse_no_change(detail text) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = 'nothing would change',
    detail = detail,
    hint = 'Look at the view with kata.messages, and at what was done with kata.history.';
end
$$;
comment on function kata_data.refuse_no_change(text) is 'Refuses a view change without effect. KC017.';
