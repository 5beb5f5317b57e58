-- The words of amendments, for the parser of artifacts.

create or replace function kata_data.said_by_amendments(segment_id uuid, low bigint, high bigint) returns setof kata_data.message
language plpgsql stable rows 1
as $$
declare
  v_amendment record;
  v_message kata_data.message;
begin
  for v_amendment in
    select c.version, a
    from kata_data.view_change c
    cross join lateral (select a from kata_data.amendment a where a.change_id = c.change_id offset 0) a
    where c.segment_id = said_by_amendments.segment_id
      and c.version between low and high
      and c.kind = 'amendment'
  loop
    select m.* into v_message
    from kata_data.message m
    where m.segment_id = (v_amendment.a).segment_id
      and m.version = (v_amendment.a).version;
    if found then
      v_message := kata_data.amended(v_message, v_amendment.a);
      v_message.version := v_amendment.version;
      return next v_message;
    end if;
  end loop;
end
$$;
comment on function kata_data.said_by_amendments(uuid, bigint, bigint) is
'The messages that a segment amended between two versions, in the words of the amendments and under the versions of these.

Amended summaries are left out, as summaries are.';
