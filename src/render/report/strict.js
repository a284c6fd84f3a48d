'use strict';
// The page's scripts, joined in this order. No framework, nothing from outside: everything shown comes from the block
// of data in this page. Names out of the file become text nodes and attribute values, never markup.
