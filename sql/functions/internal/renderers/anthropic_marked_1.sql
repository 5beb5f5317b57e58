-- Marks of the cache in a body in the Anthropic Messages form. They follow from what is rendered and from the place of a bridge, so that a
-- replay has the same bytes.

create or replace function kata_data.anthropic_marked_body_1(model text, options text, tools text, prompt jsonb, bridge integer) returns text
language plpgsql immutable
as $$
begin
  return concat(
    '{',
    '"model": ' || to_json(model)::text || ', ',
    nullif(kata_data.object_members(options), '') || ', ',
    '"tools": ' || tools || ', ',
    kata_data.anthropic_marked_1(prompt, coalesce(octet_length(tools), 0), bridge),
    '}');
end
$$;
comment on function kata_data.anthropic_marked_body_1(text, text, text, jsonb, integer) is
'The body of a request in the Anthropic form, as body_1 makes it, with marks of the cache. bridge: the place of a turn from 0; null for none.';

create or replace function kata_data.anthropic_marked_1(prompt jsonb, tools_length integer, bridge integer) returns text
language plpgsql immutable
as $$
declare
  v_last integer := jsonb_array_length(prompt -> 'messages') - 1;
  v_system jsonb := prompt -> 'system';
  v_messages record;
  v_limited jsonb;
begin
  -- Some 1,024 tokens, the least that a provider keeps.
  if tools_length + octet_length(v_system::text) >= 4096 then
    v_system := kata_data.marked_content_1(v_system);
  end if;
  select string_agg(case when m.is_marked then kata_data.marked_turn_1(m.turn)::text else m.words end, ', ' order by m.ordinality) as words,
    bool_or(strpos(m.words, '"cache_control"') > 0) as have_marks
  into v_messages
  from (
    select t.turn, t.turn::text as words, t.ordinality, t.ordinality - 1 in (bridge, v_last) as is_marked
    from jsonb_array_elements(prompt -> 'messages') with ordinality t(turn, ordinality)
    offset 0
  ) m;
  if v_messages.have_marks or strpos((prompt -> 'system')::text, '"cache_control"') > 0 then
    -- The caller has marks, too: the newest four stay.
    v_limited := kata_data.limit_system_marks(v_system, ('[' || v_messages.words || ']')::jsonb);
    v_system := v_limited -> 'system';
    v_messages.words := btrim((v_limited -> 'messages')::text, '[]');
  end if;
  return concat('"system": ' || nullif(v_system::text, '""') || ', ', '"messages": [', v_messages.words, ']');
end
$$;
comment on function kata_data.anthropic_marked_1(jsonb, integer, integer) is
'The members system and messages of a body, with marks of the cache at the end of the system prompt, of the last turn and of a bridge.

prompt: as anthropic_1 makes it. tools_length: bytes. bridge: the place of a turn from 0; null for none.';

create or replace function kata_data.marked_turn_1(turn jsonb) returns jsonb
language sql immutable
as $$
  select turn || jsonb_build_object('content', kata_data.marked_content_1(turn -> 'content'))
$$;
comment on function kata_data.marked_turn_1(jsonb) is 'A turn with a mark of the cache at its end.';

create or replace function kata_data.marked_content_1(content jsonb) returns jsonb
language plpgsql immutable
as $$
declare
  v_blocks jsonb := content;
  v_place integer;
begin
  if jsonb_typeof(content) = 'string' then
    if content = '""' then
      return content;
    end if;
    v_blocks := jsonb_build_array(jsonb_build_object('type', 'text', 'text', content));
  end if;
  v_place := jsonb_array_length(v_blocks) - 1;
  -- A provider refuses a mark on thinking.
  while v_place >= 0 and v_blocks #>> array[v_place::text, 'type'] in ('thinking', 'redacted_thinking') loop
    v_place := v_place - 1;
  end loop;
  return case
    when v_place < 0 or v_blocks -> v_place ? 'cache_control' then v_blocks
    else jsonb_set(v_blocks, array[v_place::text, 'cache_control'], '{"type": "ephemeral"}')
  end;
end
$$;
comment on function kata_data.marked_content_1(jsonb) is 'Content with a mark of the cache on its last block that may have one, a text as a block.';
