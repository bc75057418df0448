//! An HTTP function whose variables a debugger looks at. It is built without optimisation.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use wasip2::http::types::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};

struct Function;

wasip2::http::proxy::export!(Function);

pub enum Kind {
    Small,
    Parcel { grams: u32, fragile: bool },
    Letter(String),
}

#[derive(Clone, Copy)]
pub enum Colour {
    Red,
    Green = 7,
}

pub struct Order<'a> {
    id: u64,
    customer: Option<&'a str>,
    kinds: Vec<Kind>,
    next: Option<Box<Order<'a>>>,
}

impl wasip2::exports::http::incoming_handler::Guest for Function {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let count = look(&path, 3);
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(200 + count % 2).expect("status");
        ResponseOutparam::set(out, Ok(response));
    }
}

#[inline(never)]
fn look(path: &str, number: i16) -> u16 {
    let (yes, letter, unit) = (true, 'ß', ());
    let (small, large, half) = (i8::MIN, u128::MAX, -0.5_f32);
    let colours = [Colour::Red, Colour::Green];
    let kinds = vec![
        Kind::Small,
        Kind::Parcel { grams: 100, fragile: true },
        Kind::Letter("to Ada".to_owned()),
    ];
    let last = Order { id: 2, customer: None, kinds: Vec::new(), next: None };
    let order = Order { id: 1, customer: Some("Ada"), kinds, next: Some(Box::new(last)) };
    let matrix = [[1_i32, 2], [3, 4]];
    let bytes = [0_u8, 255];
    let map = HashMap::from([("tea", 3_u8)]);
    let tree: BTreeMap<u32, String> = (0..40).map(|n| (n, format!("n{n}"))).collect();
    let set = HashSet::from([5_u16]);
    let mut ring: VecDeque<u8> = VecDeque::from([1, 2, 3, 4]);
    ring.rotate_left(2);
    ring.push_back(9);
    let shared = Rc::new(RefCell::new(vec![1_u8, 2]));
    let reference = &order;
    let add = |by: i16| number + by;
    let total = add(1) as usize + order.kinds.len() + path.len();
    std::hint::black_box((&yes, &letter, unit, small, large, half, colours, reference, matrix)); // here
    std::hint::black_box((bytes, &map, &tree, &set, &ring, &shared, &order.next));
    total as u16
}
