"""Pages of rows that have a tenant, the last one made first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, Table, tuple_

from claude_code_api.managed.paging import Page


def paged(wanted: Select[Any], table: Table, page: Page) -> Select[Any]:
    """The rows of a page; the table has `created_at` and `id`, and an index that ends with them."""
    if page.before is not None:
        wanted = wanted.where(tuple_(table.c.created_at, table.c.id) < page.before)
    return wanted.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(page.limit)
