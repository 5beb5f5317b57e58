-- The group that a pin names by one of its messages.

create or replace function kata_data.group_of(context_id uuid, version bigint, at bigint, rewound int8multirange) returns bigint
language plpgsql stable
as $$
declare
  v_group bigint;
begin
  if version between 1 and at and not rewound @> version then
    select m.group_version into v_group
    from kata_data.path_messages(group_of.context_id, int8multirange(int8range(group_of.version, group_of.version, '[]'))) m;
  end if;
  if v_group is null then
    raise exception using
      errcode = 'KC002',
      message = format('version %s not found', coalesce(version::text, 'null')),
      detail = format('Context %s has no message of this version that could be pinned; summaries, view changes and what is rewound cannot be.', context_id),
      hint = 'List the messages with kata.messages.';
  end if;
  return v_group;
end
$$;
comment on function kata_data.group_of(uuid, bigint, bigint, int8multirange) is
'The group of a message at or before a version that is not rewound, for pin and unpin. KC002.';
