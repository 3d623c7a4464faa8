//! A shop with one order, people with roles, and a browser that keeps one desk's cookies.

use std::collections::BTreeMap;

use bodega_domain::{
    Currency,
    address::{Address, Contact},
    catalog::TaxClass,
    id::{LocationId, MerchantId, OrderId},
    message::{
        catalog::{CategoryIn, Merchant, PriceLines, ProductIn, Upsert, VariantIn},
        identity::{PutUser, SignIn},
        inventory::{Adjust, Adjustment, Location, PutLocations},
        order::{PaymentChoice, Place},
        pricing::Quote,
    },
    order::OrderView,
    token::Role,
};
use bodega_payment_simulator::{Options, Simulator};
use bodega_test_core::Core;
use bodega_tests::{eventually, free_port};
use reqwest::{Client, Method, header, redirect};

pub(crate) const ADMIN: &str = "admin@example.org";
pub(crate) const MERCHANT: &str = "seller@example.org";
pub(crate) const OTHER_MERCHANT: &str = "other@example.org";
pub(crate) const SHOPPER: &str = "ada@example.org";
pub(crate) const PASSWORD: &str = "long enough for all";
/// The title of the product that was bought.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script> loaf";

pub(crate) struct Shop {
    pub(crate) core: Core,
    pub(crate) base: String,
    pub(crate) shopper: String,
    pub(crate) order: OrderId,
    pub(crate) number: String,
    pub(crate) status: String,
    /// Of both merchants, and its total.
    pub(crate) shared: OrderView,
    sku_no: u32,
    _simulator: Simulator,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let port = free_port().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let webhook_url = Some(format!("{base}/webhooks/payments/simulator"));
        let simulator = Simulator::start(Options { webhook_url, ..Options::default() }).await.unwrap();
        let more = format!(
            "[http]\ngateway = \"127.0.0.1:{port}\"\n[payment.providers.simulator]\nadapter = \"stripe\"\n\
             base_url = \"{}\"\napi_key = \"sk_test_simulator\"\nwebhook_secrets = [\"whsec_simulator\"]\n\
             timeout_ms = 2000\n",
            simulator.url()
        );
        let more = format!("{more}{}", plugin_host());
        let services = [
            bodega_catalog::service(),
            bodega_identity::service(),
            bodega_inventory::service(),
            bodega_notification::service(),
            bodega_pricing::service(),
            bodega_order::service(),
            bodega_payment::service(),
            bodega_gateway::service(),
        ];
        let core = Core::open(&services, &more).await;
        let (sku_no, lamp) = fill(&core).await;
        let ada = SignIn { email: SHOPPER.into(), password: PASSWORD.into() };
        let shopper = core.ask_as(None, ada).await.unwrap().token;
        let order = buy(&core, &shopper, "first", vec![(sku_no, 2)]).await;
        let shared = buy(&core, &shopper, "second", vec![(sku_no, 3), (lamp, 1)]).await;
        let status = order.status.as_str().to_owned();
        Self {
            core,
            base,
            shopper,
            order: order.id,
            number: order.number,
            status,
            shared,
            sku_no,
            _simulator: simulator,
        }
    }

    /// Somebody's access token.
    pub(crate) async fn token(&self, email: &str) -> String {
        let sign_in = SignIn { email: email.into(), password: PASSWORD.into() };
        self.core.ask_as(None, sign_in).await.unwrap().token
    }

    /// Status and body of the API's answer.
    pub(crate) async fn api(&self, method: Method, path: &str, token: &str) -> (u16, String) {
        let request = Client::new().request(method, format!("{}{path}", self.base)).bearer_auth(token);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn tax_class(&self) -> TaxClass {
        let lines = PriceLines { sku_nos: vec![self.sku_no], currency: Currency::EUR };
        self.core.ask(lines).await.unwrap().skus[0].tax_class
    }
}

/// The numbers of the two sellers' articles.
async fn fill(core: &Core) -> (u32, u32) {
    let seller = MerchantId::from_u128(1);
    let product = ProductIn {
        slug: "odd".into(),
        expected_version: None,
        title: HOSTILE.into(),
        description: "Good.".into(),
        category: "food".into(),
        merchant: seller,
        tax_class: TaxClass::Reduced,
        attributes: Vec::new(),
        picture: None,
        variants: vec![VariantIn {
            sku: "ODD".into(),
            title: String::new(),
            options: BTreeMap::new(),
            prices: BTreeMap::from([("EUR".into(), 321)]),
        }],
    };
    let lamp = ProductIn {
        slug: "lamp".into(),
        title: "Lamp".into(),
        merchant: MerchantId::from_u128(2),
        tax_class: TaxClass::Standard,
        variants: vec![VariantIn {
            sku: "LAMP".into(),
            prices: BTreeMap::from([("EUR".into(), 4_999)]),
            ..product.variants[0].clone()
        }],
        ..product.clone()
    };
    let name = |n: u128| Merchant { id: MerchantId::from_u128(n), slug: format!("s-{n}"), name: format!("Seller {n}") };
    let food = CategoryIn { slug: "food".into(), title: "Food".into(), description: String::new(), position: 0 };
    let upsert = Upsert { merchants: vec![name(1), name(2)], categories: vec![food], products: vec![product, lamp] };
    let numbers = core.ask(upsert).await.unwrap().sku_nos;
    let (sku_no, lamp) = (numbers["ODD"], numbers["LAMP"]);
    let location = LocationId::from_u128(1);
    core.ask(PutLocations { locations: vec![Location { id: location, name: "Shelf".into(), priority: 1 }] })
        .await
        .unwrap();
    let (reason, reference) = ("count".into(), "seed".into());
    let odd = Adjustment { sku_no, location, merchant: seller, delta: 50, reason, reference };
    let lamps = Adjustment { sku_no: lamp, merchant: MerchantId::from_u128(2), ..odd.clone() };
    core.ask(Adjust { adjustments: vec![odd, lamps] }).await.unwrap();
    let people = [
        (ADMIN, vec![Role::Admin]),
        (MERCHANT, vec![Role::Merchant(seller)]),
        (OTHER_MERCHANT, vec![Role::Merchant(MerchantId::from_u128(2))]),
        (SHOPPER, vec![]),
    ];
    for (email, roles) in people {
        let user = PutUser { email: email.into(), password: Some(PASSWORD.into()), name: "Somebody".into(), roles };
        core.ask(user).await.unwrap();
    }
    (sku_no, lamp)
}

/// Where the plugin host is, and where it keeps what it compiled.
fn plugin_host() -> String {
    let root = bodega_tests::workspace_root();
    let program = bodega_plugin_build::build_host(&root).expect("the plugin host builds");
    let artefacts = std::env::temp_dir().join(format!("bodega-gateway-{}", std::process::id()));
    format!("[pricing]\nplugin_host = {program:?}\nartefacts = {artefacts:?}\n")
}

async fn buy(core: &Core, token: &str, key: &str, lines: Vec<(u32, u32)>) -> OrderView {
    let address = Address {
        name: "Ada".into(),
        line1: "Eckstraße 1".into(),
        line2: None,
        city: "Berlin".into(),
        region: None,
        postal_code: "10115".into(),
        country: "DE".parse().unwrap(),
    };
    let quote = Quote {
        lines,
        cart_tick: 1,
        currency: Currency::EUR,
        codes: Vec::new(),
        destination: Some(address.destination()),
        shipping_method: None,
    };
    let quote = core.ask_as(Some(token), quote).await.unwrap().token.unwrap();
    let place = Place {
        key: key.into(),
        quote,
        contact: Contact { email: SHOPPER.into(), name: "Ada".into() },
        shipping_address: address,
        billing_address: None,
        payment: PaymentChoice { provider: "simulator".into(), method: "card_ok".into() },
        deadline: core.clock.now().plus_s(8),
        wait_ms: 8_000,
        client_bucket: None,
        return_url: None,
    };
    let order = core.ask_as(Some(token), place).await.unwrap();
    eventually("the order to be paid", || async {
        let now = core.ask_as(Some(token), bodega_domain::message::order::Get { order: order.id }).await.unwrap();
        (now.status == bodega_domain::order::OrderStatus::Paid).then_some(now)
    })
    .await
}

/// Somebody at a desk.
#[derive(Clone)]
pub(crate) struct Browser {
    http: Client,
    base: String,
    pub(crate) cookie: String,
    pub(crate) origin: Option<String>,
    pub(crate) referer: Option<String>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) policy: String,
    pub(crate) body: String,
    pub(crate) cookies: Vec<String>,
}

impl Answer {
    /// The value of the first input of this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let rest = self.body.split_once(&format!("name=\"{name}\" value=\"")).expect(name).1;
        rest.split_once('"').unwrap().0.to_owned()
    }
}

impl Browser {
    pub(crate) fn new(shop: &Shop) -> Self {
        // A connection of its own for each request: the server hangs up on bodies that are too large.
        let http = Client::builder().redirect(redirect::Policy::none()).pool_max_idle_per_host(0).build().unwrap();
        Self { http, base: shop.base.clone(), cookie: String::new(), origin: Some(shop.base.clone()), referer: None }
    }

    pub(crate) async fn signed_in(shop: &Shop, desk: &str, email: &str) -> Self {
        let mut browser = Self::new(shop);
        let answer = browser.sign_in(desk, email, PASSWORD).await;
        assert_eq!((answer.status, answer.location.as_str()), (303, desk), "{}", answer.body);
        let cookie = &answer.cookies[0];
        for part in ["HttpOnly", "SameSite=Strict", &format!("Path={desk};")] {
            assert!(cookie.contains(part), "{cookie}");
        }
        browser
    }

    pub(crate) async fn sign_in(&mut self, desk: &str, email: &str, password: &str) -> Answer {
        let answer =
            self.post(&format!("{desk}/sign-in"), &[("email", email), ("password", password), ("next", desk)]).await;
        self.keep(&answer);
        answer
    }

    /// Takes the cookies of an answer.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        for cookie in &answer.cookies {
            let pair = cookie.split(';').next().unwrap();
            self.cookie = if self.cookie.is_empty() { pair.to_owned() } else { format!("{}; {pair}", self.cookie) };
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base));
        self.answer(request).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let escape = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
        let body: Vec<_> = form.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        self.send(path, "application/x-www-form-urlencoded", body.join("&").into_bytes()).await
    }

    pub(crate) async fn send(&self, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.base)).header(header::CONTENT_TYPE, kind).body(body);
        if let Some(origin) = &self.origin {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some(referer) = &self.referer {
            request = request.header(header::REFERER, referer);
        }
        self.answer(request).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.header(header::COOKIE, &self.cookie).send().await.unwrap();
        let text = |name: header::HeaderName| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let cookies = response.headers().get_all(header::SET_COOKIE);
        Answer {
            status: response.status().as_u16(),
            location: text(header::LOCATION),
            policy: text(header::CONTENT_SECURITY_POLICY),
            cookies: cookies.iter().map(|value| value.to_str().unwrap().to_owned()).collect(),
            body: response.text().await.unwrap(),
        }
    }
}
