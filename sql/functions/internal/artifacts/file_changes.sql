-- The fate of a file: the detail that an artifact of kind file carries, and what a tool call does to the files among its arguments.

create or replace function kata_data.file_change(
  deleted boolean default false, renamed_from text default null, renamed_to text default null
) returns jsonb
language sql immutable
as $$
  select case when deleted then '{"access": "modified", "deleted": true}'::jsonb else '{"access": "modified"}'::jsonb end
    || jsonb_strip_nulls(jsonb_object(array['renamed_from', 'renamed_to'], array[renamed_from, renamed_to]))
$$;
comment on function kata_data.file_change(boolean, text, text) is
'The detail of a file that was modified: deleted or not, renamed from or to a path.';

create or replace function kata_data.weight_of(version bigint, detail jsonb) returns bigint
language sql immutable
as $$
  select case
    when detail is not null then version + 1000000000000000 * case detail ->> 'access' when 'modified' then 3 when 'read' then 2 when 'listed' then 1 else 0 end
  end
$$;
comment on function kata_data.weight_of(bigint, jsonb) is
'How much a detail counts among those of an artifact: a change more than a reading, a reading more than a list, else the newest.

Null where there is no detail.';

create or replace function kata_data.weighed_version(weight bigint) returns bigint
language sql immutable
as $$
  select weight % 1000000000000000
$$;
comment on function kata_data.weighed_version(bigint) is 'The version in a weight.';

create or replace function kata_data.tool_changes_files(tool text) returns boolean
language sql immutable
as $$
  select lower(regexp_replace(tool, '([a-z])([A-Z])', E'\\1_\\2', 'g') collate kata_data.c_utf8)
    ~ '(^|[^a-z])(write|edit|create|insert|replace|update|modify|patch|append|save|overwrite|touch|rename|move|mv|copy|cp|delete|remove|unlink|rm)'
$$;
comment on function kata_data.tool_changes_files(text) is 'Whether a tool changes the files that it is given, by its name.';

create or replace function kata_data.written_key_pattern() returns text
language sql immutable
as $$
  select '"(content|contents|file_?[tT]ext|new_?([sS]tr(ing)?|[tT]ext|[sS]ource)|old_?([sS]tr(ing)?|[tT]ext)|insert_(text|line)|edits|patch|diff'
    || '|replacement|code_?[eE]dit)": '
$$;
comment on function kata_data.written_key_pattern() is
'The keys of a call''s arguments that show what is written to a file, whatever the tool is called.';

create or replace function kata_data.change_of_file(tool text, key text, arguments jsonb) returns jsonb
language sql immutable
as $$
  select case
    when coalesce(arguments ->> 'command', arguments ->> 'operation', arguments ->> 'action') in (
      'view', 'read', 'open', 'show', 'cat', 'list', 'search') then null
    when arguments::text ~ kata_data.written_key_pattern() collate kata_data.c_utf8 and tool !~* '(^|[^a-z])(read|view|list|search|grep|find)' collate kata_data.c_utf8 then kata_data.file_change()
    when not kata_data.tool_changes_files(tool) then null
    when tool ~* '(delete|remove|unlink|(^|_)rm(_|$))' collate kata_data.c_utf8 then kata_data.file_change(deleted => true)
    when tool !~* '(rename|move|copy|(^|_)(mv|cp)(_|$))' collate kata_data.c_utf8 then kata_data.file_change()
    when key !~* '^(old|source|src|from|path|file)' collate kata_data.c_utf8 then case
      when tool ~* '(copy|(^|_)cp(_|$))' collate kata_data.c_utf8 then kata_data.file_change()
      else kata_data.file_change(renamed_from => kata_data.argument_like(arguments, '^(old|source|src|from|path|file)'))
    end
    when tool ~* '(copy|(^|_)cp(_|$))' collate kata_data.c_utf8 then null
    else kata_data.file_change(deleted => true, renamed_to => kata_data.argument_like(arguments, '^(new|dest|dst|target|to)'))
  end
$$;
comment on function kata_data.change_of_file(text, text, jsonb) is
'What a call of a tool does to the file under a key of its arguments; null if it only reads the file.';

create or replace function kata_data.argument_like(arguments jsonb, pattern text) returns text
language sql immutable
as $$
  select a.value #>> '{}'
  from jsonb_each(case jsonb_typeof(arguments) when 'object' then arguments end) a(key, value)
  where a.key ~* pattern collate kata_data.c_utf8
    and jsonb_typeof(a.value) = 'string'
  order by a.key collate "C"
  limit 1
$$;
comment on function kata_data.argument_like(jsonb, text) is 'The first string among arguments whose key matches a pattern.';
