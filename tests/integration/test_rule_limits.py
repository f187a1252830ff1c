"""No rule above the limits comes in by the API, be it with a product, by a change, or in a preview."""

from pathlib import Path

from admin_support import Admin, product, serving

from rule_limits import ABOVE, IN_PARTS


async def _refused(admin: Admin, method: str, path: str, body: object, code: str) -> None:
    status, problem = await admin.call(method, path, body)
    assert (status, problem["code"]) == (422, code), problem


async def test_the_api_takes_no_rule_above_the_limits(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as admin:
        await admin.shop()
        for number, (rule, code) in enumerate([*ABOVE.values(), *IN_PARTS.values()]):
            await _refused(admin, "POST", "/v1/products", product(f"p{number}", "shop", rule), code)
            await _refused(admin, "PATCH", "/v1/products/tea", {"commission": rule}, code)
            preview = {"rule": rule, "amount": "100.00", "currency": "CNY", "depth": 3}
            await _refused(admin, "POST", "/v1/rules/preview", preview, code)
        assert (await admin.get("/v1/products/tea"))["commission"]["value"] == "10.0"
