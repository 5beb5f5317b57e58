-- The task that a conversation began with.

create or replace function kata_data.first_request(context_id uuid, at bigint) returns kata_data.message
language plpgsql stable
as $$
declare
  v_message kata_data.message;
  v_hidden int8multirange;
begin
  v_hidden := kata_data.hidden(kata_data.view_at(context_id, at));
  select m.* into v_message
  from (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(first_request.context_id, 1, at) s
    order by s.first_version
    offset 0
  ) s
  cross join lateral (
    select m.*
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
      and m.role = 'user'
      and not v_hidden @> m.version
    order by m.version
    limit 1
  ) m
  limit 1;
  return v_message;
end
$$;
comment on function kata_data.first_request(uuid, bigint) is 'The first message of the user that is neither deleted nor rewound; all null where there is none.';
