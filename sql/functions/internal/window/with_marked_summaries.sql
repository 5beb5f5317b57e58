-- A summary has the role of the user by default: it quotes the words of users and tools, which must not pass for the system's. A mark shows
-- the model that the user did not say it. Those of the role system need none.

create or replace function kata_data.marked_summaries(rows kata_data.window_row[]) returns integer[]
language sql immutable
as $$
  select array(
    select r.ordinality::integer
    from unnest(rows) with ordinality r
    where r.kind = 'summary'
      and r.role in ('user', 'assistant')
      and r.reason <> 'recalled')
$$;
comment on function kata_data.marked_summaries(kata_data.window_row[]) is 'Which rows of a window are summaries with a role of the conversation.';

create or replace function kata_data.with_marked_summaries(rows kata_data.window_row[], places integer[], format text)
returns kata_data.window_row[]
language plpgsql immutable
as $$
declare
  v_place integer;
begin
  foreach v_place in array places
  loop
    -- The words of an assistant are not escaped elsewhere, but those of a summary are not its own.
    if rows[v_place].role = 'assistant' and format in ('anthropic', 'gemini') then
      rows[v_place].content := kata_data.escape_system_tags(rows[v_place].content);
    end if;
    rows[v_place].content := E'[summary of earlier messages]\n' || rows[v_place].content;
  end loop;
  return rows;
end
$$;
comment on function kata_data.with_marked_summaries(kata_data.window_row[], integer[], text) is
'The rows of a window with a mark before each summary that has a role of the conversation.';
