"""The project: finds vouchers, loyalty cards and campaigns by the codes, ids and names in paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from .._data.definitions import CAMPAIGN_IDS
from .._data.rows import Row, number_of
from .._http.answers import RefusedError

if TYPE_CHECKING:
    from .._data.world import World


@frozen
class Project:
    """A project that has the first `rows` rows of every object; its methods raise RefusedError for others."""

    world: World
    rows: int

    def voucher_id(self, code: str) -> str:
        """Return the id of a voucher, given by its code or id."""
        return self._voucher(code, "voucher")["id"]

    def member_id(self, code: str) -> str:
        """Return the id of a loyalty card, given by its code or id."""
        voucher = self._voucher(code, "member")
        if voucher["voucher_type"] != "LOYALTY_CARD":
            raise missing(code, "member")
        return voucher["id"]

    def campaign_id(self, campaign: str) -> str:
        """Return the id of a campaign, given by its name or id."""
        if campaign in CAMPAIGN_IDS.values():
            return campaign
        if campaign not in CAMPAIGN_IDS:
            raise missing(campaign, "campaign")
        return CAMPAIGN_IDS[campaign]

    def _voucher(self, code: str, resource: str) -> Row:
        for column, prefix in (("code", ""), ("id", "v_")):
            number = number_of(self.world, "voucher", column, prefix, code)
            if number is not None and number < self.rows:
                return Row(self.world, "voucher", number)
        raise missing(code, resource)


def missing(resource_id: str, resource_type: str) -> RefusedError:
    """Return the refusal of a request for a resource that does not exist."""
    details = f"Cannot find {resource_type} with id {resource_id}"
    return RefusedError(
        404, "not_found", "Resource not found", details, resource_id=resource_id, resource_type=resource_type
    )
