-- Providers refuse text that is empty or white space only. White space is that of Unicode, spelled out: what a regular expression takes
-- for it follows the locale.

create or replace function kata_data.is_blank(content text) returns boolean
language sql immutable
as $$
  select case
    -- Most texts begin with a visible character of ASCII; a trim looks at all of them.
    when ascii(content) between 33 and 126 then false
    else coalesce(ltrim(content, kata_data.white_space()) = '', true)
  end
$$;
comment on function kata_data.is_blank(text) is 'Whether a text is null, empty or white space only.';

create or replace function kata_data.white_space() returns text
language sql immutable
as $$
  select E' \t\n\x0b\f\r\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'
$$;
comment on function kata_data.white_space() is 'All white space of Unicode.';
