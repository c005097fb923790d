//! 47-api-authorization: tokens checked at the edge, answers shared within a tenant.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "47-api-authorization";

// Signed with the private half of the example's issuer.pem, which is thrown away.
const ANNA_NORTH: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiYXVkIjoic2hvcCIsInRlbmFudCI6Im5vcnRoIiwiZXhwIjo0MTAyNDQ0ODAwfQ.cDoU4Gl8gJ9JIPY64_Wq-ak6LqY4Ugmw9Jc_oIpKEO9qUgGBz6Y2By_ncZCWZZEl_SVwHJuUAl-ali_gD-Xw0zczdt-IP9vPIOlFxircTFD8fqkeAbD3_BNZaySML10OJLvewdUfn4PW-46b8ULxeYpoHoUcV7Ut6lKbILZ3KfAEr5mY7Mv9HYukOkWtuLz0_hhnEqSo2eiu6cFyqwVw23XBH0Dg7_GvZnYco3O92tgmaqopi-Ycb8Uy_4zYVus3Kap4xskMicmLCS5A1YjC5odjMly3vZS--XMy2TRXhb1h_usLGrmf_66PWrAluldiVo1KcoU370gf47loc1HRdA";
const CARL_NORTH: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJjYXJsIiwiYXVkIjoic2hvcCIsInRlbmFudCI6Im5vcnRoIiwiZXhwIjo0MTAyNDQ0ODAwfQ.gD6q1EhHBMXZ2gwnd91ikIEatI_v3ULMu9rMtEaR1TsQXbs0himo6mWYMzph4H5lCdW4sdK1-auz7UopuDIqce1rLu7Y8K91ShIoYC5SlRucbYtQ1XQL7JQW-6np9C3-j9mDrPr_ol9ObHaX-j88TuCCXtF1FtzzbX8s0Kh60A0TxGRNSYT6RAXMSBs81pOkDV2pNh04vAwGX35uDFr-Oyqe1g0eemLF1vIUrAPYtStVxZfRnoC6GL9lYrsFAApQCF4ssRFJHETcKQYwxMxGkfCKSuHeE4zcKCGCiKnpQWT6Q5zphHD3pvqvGhugvDsSfIKJ7RvoYNwKhVYEBiLTqQ";
const BERT_SOUTH: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJiZXJ0IiwiYXVkIjoic2hvcCIsInRlbmFudCI6InNvdXRoIiwiZXhwIjo0MTAyNDQ0ODAwfQ.Coo4YlJVDH4GjUFTWLzk54Nvj5MCXz51sRss6WWROWAxUttqDKWY0waXIEKNj3sWT54VSQ4FuzqWv4PTdp1G2E2pOfPIPFdH2Wz5v9tYDPJs7lKZVEejaKTufePlrB2aTfqnkYpR20MlsoKgS7VmBEGMsSJ_VNyBhPQVtYN7x7n6XWianCRK3SmLtYnK0mDegA-he1Xk1AoycLsKIuJFVOKY4WO-KQvy8OKTLY56YegyZfrBhQK4elcXwsChiJzp3ywWvLQ28PzCvbnwgfxk1mL3tXz42OfyrenLPk2qvXrkPWGhBdSj22JRDQgqjLYs0G4f6Ng3SRU5o38Caa1DDQ";
const EXPIRED: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiYXVkIjoic2hvcCIsInRlbmFudCI6Im5vcnRoIiwiZXhwIjoxMDAwMDAwMDAwfQ.dEhiDKoOQvG38C4JlpfWExJNZHp27CKnG4ib050AU6l_UXOA_IMweM97O__HcQInGrIpd16qGQAFI1yEcgA6zt30ArgtfvoujiEV3GhM2JS3pvhxeWNnOtaV3RTuEPmRv2dQlLenNRkCbR53w4UDGY34MHlhmE6q7DnnCltAHKhBMXzO-HWwSylDX3Lby8J-Xav8-4F6DGVCFFxfMmoDdy_Brjl4RxgjoHus_94c26fPkIKIYOvhcXKRJF5Br7KxSMXJdY-wNF3XgY4f2Keqpkxn3T-FGtwcK1fGrQvFPH-LUG0wR1McaUfBU2QVY0rOaEDFDhDR4xmhGM8VO4IQVQ";
const FOR_THE_BANK: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJldmUiLCJhdWQiOiJiYW5rIiwidGVuYW50Ijoibm9ydGgiLCJleHAiOjQxMDI0NDQ4MDB9.g9pf-81u7p1QLnh-7xm0WZ6zGy3KC_e0WKvbuLz_HdDDPoFVnuciROxeLxKOMf5pAjAKrEI98jRzZKCmJY7gB-UZj2QFrayaymC2XKl83K3pt5r6EBZVKXhxVX9Nx3htrgbUh4JFWyPl6PSfN4h13nuNJ24ZXdfM49ziZ8uKRYQOP6U3Gfz-1wsB82Ei1NGRa0D_ZzSrWsqgGP5Pq9ZQ3q6vc0h-Kpd1YG-pxmiB89Kefh9kqZBvSK82ZFx5YYaHpWWflM-HKYD4evuVnqAAQJjIxIGgiC78q5Oo4dxFvbXSgfRhCiFGxha_OSeUUo2Ba0s1TK5JFU6uhdfKnPuXww";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn users_of_one_tenant_share_answers_and_others_get_none_of_them() {
    let origin = Origin::start(|seen| {
        let tenant = seen.header("X-Token-Tenant").unwrap_or("none").to_owned();
        Reply::ok(tenant).header("Cache-Control", "max-age=60")
    });
    let proxy = start(NAME, &origin);
    for (token, tenant, hit) in [
        (ANNA_NORTH, "north", false),
        (CARL_NORTH, "north", true),
        (BERT_SOUTH, "south", false),
        (ANNA_NORTH, "north", true),
    ] {
        let answer = client::get(proxy.addr(), "/api/orders", &[("Authorization", &bearer(token))]);
        assert_eq!((answer.status, answer.text().as_str(), is_hit(&answer)), (200, tenant, hit));
    }
    assert_eq!(client::get(proxy.addr(), "/page", &[("X-Token-Tenant", "north")]).text(), "none");
}

#[test]
fn tokens_that_are_wrong_old_or_for_another_are_refused() {
    let origin = Origin::start(|_| Reply::ok("never"));
    let proxy = start(NAME, &origin);
    let changed = ANNA_NORTH.replacen('.', ".x", 1);
    for field in
        [String::new(), bearer(EXPIRED), bearer(FOR_THE_BANK), bearer(&changed), bearer("x"), "Basic YTpi".into()]
    {
        let refused =
            client::get(proxy.addr(), "/api/orders", &[("Authorization", &field), ("X-Token-Tenant", "north")]);
        assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Bearer")), "{field}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn what_changes_something_goes_to_the_application_with_its_token() {
    let origin = Origin::start(|seen| {
        let user = seen.header("X-Token-User").unwrap_or("none").to_owned();
        Reply::ok(format!("{user} {}", seen.header("Authorization").is_some()))
    });
    let proxy = start(NAME, &origin);
    let sent = client::request(proxy.addr(), "POST", "/api/orders", &[("Authorization", &bearer(ANNA_NORTH))], b"{}");
    assert_eq!(sent.text(), "anna true");
}
