#!/usr/bin/env python3
"""Hostile ONNX files.  python3 hostile.py FOLDER (onnx, numpy). tests/onnx/hostile.sh runs them.

Each is well-formed protobuf and lies elsewhere: sizes, shapes, offsets, counts, bodies, links. FOLDER gets NAME.onnx, and
the folder `data` beside it what external data points to. Names tell the kind."""
import os, sys
import numpy as np, onnx
from onnx import helper as h, TensorProto as T, numpy_helper as nh

os.makedirs(sys.argv[1], exist_ok=True); os.chdir(sys.argv[1])
node = h.make_node
def vi(n,*d,t=T.FLOAT): return h.make_tensor_value_info(n,t,d)
def c(n,a): return nh.from_array(np.asarray(a),n)
def save(name,nodes,ins,outs,init=(),fn=(),doms=(),opset=17):
    g=h.make_graph(nodes,name,ins,outs,list(init)); m=h.make_model(g,opset_imports=[h.make_opsetid("",opset)]+list(doms),functions=list(fn),ir_version=9); onnx.save(m,name+'.onnx')
X=vi('x','n',6); Y=vi('y','n',3); W=c('w',np.ones((6,3),'f4'))
mm=lambda i,o='y': node('MatMul',[i,'w'],[o])
big=np.array([1<<20,1<<20]); 
save('expand',[node('Expand',['x','s'],['e']),node('ReduceSum',['e','a'],['r'],keepdims=0),mm('r')],[X],[Y],[W,c('s',np.array([1<<20,1<<12,1,6])),c('a',np.array([0,1]))])
save('pad',[node('Pad',['x','p'],['e']),node('Slice',['e','z','k','one'],['r']),mm('r')],[X],[Y],[W,c('p',np.array([0,0,0,1<<40])),c('z',np.array([0])),c('k',np.array([6])),c('one',np.array([1]))])
save('padneg',[node('Pad',['x','p'],['e']),mm('e')],[X],[Y],[W,c('p',np.array([0,-(1<<62),0,1<<62]))])
save('tile',[node('Tile',['x','t'],['e']),node('Slice',['e','z','k','one'],['r']),mm('r')],[X],[Y],[W,c('t',np.array([1,1<<34])),c('z',np.array([0])),c('k',np.array([6])),c('one',np.array([1]))])
save('constofshape',[node('ConstantOfShape',['s'],['b']),node('ReduceSum',['b','a'],['q'],keepdims=0),node('Add',['x','q'],['r']),mm('r')],[X],[Y],[W,c('s',np.array([1<<16,1<<16])),c('a',np.array([0,1]))])
save('constofshape_over',[node('ConstantOfShape',['s'],['b']),node('ReduceSum',['b','a'],['q'],keepdims=0),node('Add',['x','q'],['r']),mm('r')],[X],[Y],[W,c('s',np.array([1<<32,1<<32])),c('a',np.array([0,1]))])
save('range',[node('Range',['a','b','d'],['q']),node('ReduceSum',['q','z'],['s'],keepdims=0),node('Cast',['s'],['f'],to=1),node('Add',['x','f'],['r']),mm('r')],[X],[Y],[W,c('a',np.int64(0)),c('b',np.int64(1<<50)),c('d',np.int64(1)),c('z',np.array([0]))])
save('range0',[node('Range',['a','b','d'],['q']),node('ReduceSum',['q','z'],['s'],keepdims=0),node('Add',['x','s'],['r']),mm('r')],[X],[Y],[W,c('a',np.float32(0)),c('b',np.float32(1)),c('d',np.float32(1e-30)),c('z',np.array([0]))])
save('rangenan',[node('Range',['a','b','d'],['q']),node('ReduceSum',['q','z'],['s'],keepdims=0),node('Add',['x','s'],['r']),mm('r')],[X],[Y],[W,c('a',np.float32(0)),c('b',np.float32('nan')),c('d',np.float32(1)),c('z',np.array([0]))])
# lies in value_info
save('lie_out',[mm('x')],[X],[vi('y','n',3000000)],[W])
g=h.make_graph([mm('x')],'g',[X],[Y],[W],value_info=[vi('y','n',1<<40)]); onnx.save(h.make_model(g,opset_imports=[h.make_opsetid("",17)]),'lie_vi.onnx')
save('lie_in',[node('Reshape',['x','s'],['t']),mm('t')],[vi('x','n',1<<30)],[Y],[W,c('s',np.array([-1,6]))])
save('neg_in',[mm('x')],[vi('x',1,-6)],[Y],[W])
save('zero_in',[node('ReduceSum',['x','a'],['t'],keepdims=1),node('Expand',['t','s'],['u']),mm('u')],[vi('x','n',0)],[Y],[W,c('a',np.array([1])),c('s',np.array([1,6]))])
w=c('w',np.ones((6,3),'f4')); w.dims[0]=1<<33
save('lie_dims',[mm('x')],[X],[Y],[w])
w=c('w',np.ones((6,3),'f4')); w.raw_data=w.raw_data[:-1]
save('short_raw',[mm('x')],[X],[Y],[w])
w=c('w',np.ones((6,3),'f4')); w.dims[0]=-6; w.dims[1]=-3
save('neg_dims',[mm('x')],[X],[Y],[w])
# quantized with odd zero points
def q(name,zp,zt,st=0.1,extra=()):
    save(name,[node('QuantizeLinear',['x','s','z'],['q']),node('DequantizeLinear',['q','s','z'],['d']),mm('d')],[X],[Y],[W,c('s',np.float32(st)),c('z',zp)])
q('q_vec',np.array([1,2,3],'u1'),None); q('q_u16',np.uint16(65535),None); q('q_s8',np.int8(-128),None); q('q_inf',np.uint8(3),None,np.inf); q('q_nan',np.uint8(3),None,np.nan); q('q_0',np.uint8(3),None,0.0); q('q_neg',np.uint8(3),None,-1.0); q('q_den',np.uint8(3),None,1e-44)
save('qlc',[node('QLinearMatMul',['xq','s','z','wq','s','zw','s','z'],['yq']),node('DequantizeLinear',['yq','s','z'],['y']),node('QuantizeLinear',['x','s','z'],['xq'])][::-1][::1] if 0 else [node('QuantizeLinear',['x','s','z'],['xq']),node('QLinearMatMul',['xq','s','z','wq','s','zw','s','z'],['yq']),node('DequantizeLinear',['yq','s','z'],['y'])],[X],[Y],[c('s',np.float32(.1)),c('z',np.uint8(255)),c('wq',np.full((6,3),-128,'i1')),c('zw',np.array([-128,127,0],'i1'))])
save('ci',[node('DynamicQuantizeLinear',['x'],['xq','sx','zx']),node('MatMulInteger',['xq','wq','zx','zw'],['a']),node('Cast',['a'],['y'],to=1)],[X],[Y],[c('wq',np.full((6,3),255,'u1')),c('zw',np.array([0,255,7],'u1'))])
# functions that recurse
f=h.make_function('m','F',['a'],['b'],[node('F',['a'],['b'],domain='m')],[h.make_opsetid('m',1)])
save('fn_self',[node('F',['x'],['t'],domain='m'),mm('t')],[X],[Y],[W],fn=[f],doms=[h.make_opsetid('m',1)])
f1=h.make_function('m','F',['a'],['b'],[node('G',['a'],['b'],domain='m')],[h.make_opsetid('m',1)]); f2=h.make_function('m','G',['a'],['b'],[node('F',['a'],['b'],domain='m')],[h.make_opsetid('m',1)])
save('fn_two',[node('F',['x'],['t'],domain='m'),mm('t')],[X],[Y],[W],fn=[f1,f2],doms=[h.make_opsetid('m',1)])
fs=[h.make_function('m','F%d'%i,['a'],['b'],[node('F%d'%(i+1),['a'],['t'],domain='m'),node('F%d'%(i+1),['t'],['b'],domain='m')],[h.make_opsetid('m',1),h.make_opsetid('',17)]) for i in range(40)]
fs.append(h.make_function('m','F40',['a'],['b'],[node('Relu',['a'],['b'])],[h.make_opsetid('',17)]))
save('fn_bomb',[node('F0',['x'],['t'],domain='m'),mm('t')],[X],[Y],[W],fn=fs,doms=[h.make_opsetid('m',1)])
# loops: huge trip, nested scans
body=h.make_graph([node('Identity',['c'],['co']),node('Tanh',['v'],['vo'])],'b',[vi('i',t=T.INT64),vi('c',t=T.BOOL),vi('v',None,6)],[vi('co',t=T.BOOL),vi('vo',None,6)])
for n,k in (('loop_big',1<<60),('loop_64',64),('loop_65',65),('loop_neg',-5),('loop_0',0)): save(n,[node('Loop',['k',''  ,'x'],['v'],body=body),mm('v')],[X],[Y],[W,c('k',np.int64(k))])
def nest(d):
    nm='v%d'%d
    inner=[node('Tanh',['v'+str(d)],['o%d'%d])] if d==0 else [node('Loop',['k','','v%d'%d],['o%d'%d],body=nest(d-1))]
    return h.make_graph([node('Identity',['c%d'%d],['co%d'%d])]+inner,'b%d'%d,[vi('i%d'%d,t=T.INT64),vi('c%d'%d,t=T.BOOL),vi('v%d'%d,None,6)],[vi('co%d'%d,t=T.BOOL),vi('o%d'%d,None,6)])
save('loop_nest',[node('Loop',['k','','x'],['v'],body=nest(8)),mm('v')],[X],[Y],[W,c('k',np.int64(60))])
save('loop_nest2',[node('Loop',['k','','x'],['v'],body=nest(2)),mm('v')],[X],[Y],[W,c('k',np.int64(10))])
save('loop_nest3',[node('Loop',['k','','x'],['v'],body=nest(1)),mm('v')],[X],[Y],[W,c('k',np.int64(7))])
sb=h.make_graph([node('Concat',['s','r'],['so'],axis=0),node('Identity',['r'],['ro'])],'sb',[vi('s',None),vi('r',None)],[vi('so',None),vi('ro',None)])
save('scan_grow',[node('ReduceSum',['x','a'],['s0'],keepdims=0),node('Scan',['s0','x'],['s1','t'],body=sb,num_scan_inputs=1),mm('t')],[X],[Y],[W,c('a',np.array([1]))])
save('scan_num',[node('Scan',['x'],['t'],body=sb,num_scan_inputs=1<<40),mm('t')],[X],[Y],[W])
save('scan_neg',[node('Scan',['x'],['t'],body=sb,num_scan_inputs=-3),mm('t')],[X],[Y],[W])
# 3-D
def v3(name,k,**a):
    wt=np.ones(k,'f4'); save(name,[node('Conv',['x','k'],['t'],**a),node('GlobalAveragePool',['t'],['u']),node('Flatten',['u'],['y'])],[vi('x','n',2,4,5,6)],[vi('y','n',k[0])],[c('k',wt)])
v3('c3_pad',(3,2,2,2,2),pads=[1000]*6); v3('c3_dil',(3,2,2,2,2),dilations=[1<<40,1,1]); v3('c3_neg',(3,2,2,2,2),pads=[-1,0,0,-1,0,0]); v3('c3_str',(3,2,2,2,2),strides=[0,1,1]); v3('c3_same',(3,2,2,3,2),auto_pad='SAME_UPPER',strides=[2,1,3]); v3('c3_group',(4,1,3,3,3),group=2,pads=[5,5,5,5,5,5]); v3('c3_list',(3,2,2,2,2),pads=[1,1,1])
for n,op,a in (('p3_big','MaxPool',dict(kernel_shape=[7,7,7],pads=[3]*6)),('p3_far','AveragePool',dict(kernel_shape=[2,2,2],pads=[9]*6,count_include_pad=1)),('p3_huge','MaxPool',dict(kernel_shape=[1<<40,1,1])),('p3_ceil','AveragePool',dict(kernel_shape=[2,3,2],strides=[3,3,4],ceil_mode=1,pads=[1,1,1,1,1,1]))):
    save(n,[node(op,['x'],['t'],**a),node('GlobalAveragePool',['t'],['u']),node('Flatten',['u'],['y'])],[vi('x','n',2,4,5,6)],[vi('y','n',2)])
for n,s in (('r3_ok',[1,1,1.5,2,0.5]),('r3_big',[1,1,1e9,1e9,1]),('r3_0',[1,1,0,1,1]),('r3_nan',[1,1,float('nan'),1,1])):
    save(n,[node('Resize',['x','','sc'],['t'],mode='linear'),node('GlobalAveragePool',['t'],['u']),node('Flatten',['u'],['y'])],[vi('x','n',2,4,5,6)],[vi('y','n',2)],[c('sc',np.array(s,'f4'))])
# depth and size
ns=[node('Relu',['x' if i==0 else 't%d'%(i-1)],['t%d'%i]) for i in range(3000)]; save('deep',ns+[mm('t2999')],[X],[Y],[W])
ns=[node('Relu',['x'],['t%d'%i]) for i in range(20000)]; save('wide',ns+[mm('t7')],[X],[Y],[W])
ns=[node('Concat',['x' if i==0 else 't%d'%(i-1)]*2,['t%d'%i],axis=1) for i in range(40)]; save('double',ns+[node('Slice',['t39','z','k','one'],['r']),mm('r')],[X],[Y],[W,c('z',np.array([0])),c('k',np.array([6])),c('one',np.array([1]))])
save('cyc',[node('Add',['x','u'],['t']),node('Relu',['t'],['u']),mm('u')],[X],[Y],[W])
ns=[node('Gather',['x' if i==0 else 't%d'%(i-1),'ix'],['t%d'%i],axis=1) for i in range(3000)]; save('ids_chain',ns+[node('Gather',['tab','t2999'],['e']),node('ReduceSum',['e','one'],['r'],keepdims=0),mm('r')],[vi('x','n',6,t=T.INT64)],[Y],[W,c('ix',np.arange(6)),c('tab',np.ones((5,6),'f4')),c('one',np.array([1]))])

# ---- later kinds ----
MS, ML = [h.make_opsetid("com.microsoft", 1)], [h.make_opsetid("ai.onnx.ml", 3)]
BIG, HUGE = 1 << 40, 1 << 62
def i64(*v): return np.array(v, np.int64)
def tail(v, rank, **a):
    """What makes a row's three numbers of a value of any rank: its sum, times x times w."""
    return [node("ReduceSum", [v], ["sum"], keepdims=0), node("Cast", ["sum"], ["sumf"], to=1), node("Mul", ["x", "sumf"], ["xs"]), mm("xs")]
def huge(name, nodes, init=(), opset=17, doms=(), v="v", rank=1): save(name, list(nodes) + tail(v, rank), [X], [Y], [W, *init], doms=doms, opset=opset)
huge("onehot", [node("OneHot", ["ix", "d", "vals"], ["v"])], [c("ix", i64(1, 2)), c("d", np.int64(BIG)), c("vals", np.array([0, 1], "f4"))])
huge("onehot_neg", [node("OneHot", ["ix", "d", "vals"], ["v"])], [c("ix", i64(1, 2)), c("d", np.int64(-HUGE)), c("vals", np.array([0, 1], "f4"))])
huge("resize_sizes", [node("Resize", ["im", "", "", "s"], ["v"], mode="nearest")], [c("im", np.ones((1, 1, 2, 2), "f4")), c("s", i64(1, 1, BIG, BIG))])
huge("resize_cubic", [node("Resize", ["im", "", "", "s"], ["v"], mode="cubic", antialias=1)], [c("im", np.ones((1, 1, 4000, 4000), "f4")), c("s", i64(1, 1, 1, 1))], opset=18)
huge("roi_align", [node("RoiAlign", ["im", "r", "b"], ["v"], output_height=1 << 30, output_width=1 << 30)], [c("im", np.ones((1, 1, 2, 2), "f4")), c("r", np.ones((1, 4), "f4")), c("b", i64(0))])
huge("roi_ratio", [node("RoiAlign", ["im", "r", "b"], ["v"], output_height=8, output_width=8, sampling_ratio=1 << 30)], [c("im", np.ones((1, 1, 2, 2), "f4")), c("r", np.array([[0, 0, 2, 2]], "f4")), c("b", i64(0))])
huge("roi_nan", [node("RoiAlign", ["im", "r", "b"], ["v"])], [c("im", np.ones((1, 1, 2, 2), "f4")), c("r", np.full((1, 4), np.inf, "f4")), c("b", i64(0))])
bx = np.sort(np.random.default_rng(1).random((1, 20000, 4)).astype("f4"), 2)
huge("nms", [node("NonMaxSuppression", ["b", "s", "m", "i"], ["v"])], [c("b", bx), c("s", np.random.default_rng(2).random((1, 8, 20000)).astype("f4")), c("m", np.int64(HUGE)), c("i", np.float32(0.9999))])
forever = h.make_graph([node("Identity", ["c"], ["co"])], "b", [vi("i", t=T.INT64), vi("c", t=T.BOOL)], [vi("co", t=T.BOOL), ])
save("loop_62", [node("Loop", ["k", "", "x"], ["v"], body=body), mm("v")], [X], [Y], [W, c("k", np.int64(HUGE))])
save("loop_none", [node("Loop", ["", "t", "x"], ["v"], body=body), mm("v")], [X], [Y], [W, c("t", np.bool_(True))])
save("loop_empty", [node("Loop", ["k", ""], [], body=forever), mm("x")], [X], [Y], [W, c("k", np.int64(HUGE))])
scans = h.make_graph([node("Identity", ["c"], ["co"]), node("Identity", ["v"], ["vo"]), node("Identity", ["v"], ["so"])], "b", [vi("i", t=T.INT64), vi("c", t=T.BOOL), vi("v", None, 6)], [vi("co", t=T.BOOL), vi("vo", None, 6), vi("so", None, 6)])
save("loop_scans", [node("Loop", ["k", "", "x"], ["v", "all"], body=scans), mm("v")], [X], [Y], [W, c("k", np.int64(HUGE))])
letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
huge("einsum_52", [node("Einsum", ["e%d" % k for k in range(26)], ["v"], equation=",".join(letters[2 * k:2 * k + 2] for k in range(26)) + "->")], [c("e%d" % k, np.ones((2, 2), "f4")) for k in range(26)])
huge("einsum_out", [node("Einsum", ["e%d" % k for k in range(4)], ["v"], equation="ab,cd,ef,gh->abcdefgh")], [c("e%d" % k, np.ones((50, 50), "f4")) for k in range(4)])
huge("einsum_long", [node("Einsum", ["e"] * 2000, ["v"], equation=",".join(["a"] * 2000) + "->a")], [c("e", np.ones(50000, "f4"))])
def lie(name, dims, t=T.FLOAT, **field):
    w = T(); w.name = "w"; w.data_type = t; w.dims.extend(dims)
    for k, v in field.items(): getattr(w, k).extend(v) if isinstance(v, list) else setattr(w, k, v)
    g = h.make_graph([node("Cast", ["w"], ["f"], to=1), mm("x") if t == T.FLOAT else node("MatMul", ["x", "f"], ["y"])], name, [X], [Y], [w]); onnx.save(h.make_model(g, opset_imports=[h.make_opsetid("", 17)]), name + ".onnx")
lie("strings_40", [BIG], T.STRING, string_data=[b"1"] * 4); lie("strings_none", [BIG], T.STRING); lie("strings_neg", [-1], T.STRING, string_data=[b"1"])
lie("dims_over", [1 << 32, 1 << 32, 1 << 32], raw_data=b"\0" * 16); lie("dims_zero_over", [0, 1 << 62, 1 << 62]); lie("dims_wrap", [1 << 31, 1 << 31, 4], raw_data=b"")
lie("dims_many", [1] * 5000, raw_data=b"\0\0\0\0"); lie("type_unknown", [6, 3], 99, raw_data=b"\0" * 72); lie("both_fields", [6, 3], raw_data=b"\0" * 72, float_data=[1.0] * 18)
lie("int4_odd", [BIG], T.INT4, raw_data=b"\0" * 3); lie("complex", [6, 3], T.COMPLEX64, raw_data=b"\0" * 144)
# sequences and optionals
save("sequence", [node("SequenceConstruct", ["x"] * 3, ["q"]), node("SequenceAt", ["q", "k"], ["r"]), mm("r")], [X], [Y], [W, c("k", np.int64(HUGE))])
save("sequence_grow", [node("SequenceEmpty", [], ["q0"])] + [node("SequenceInsert", ["q%d" % k, "x"], ["q%d" % (k + 1)]) for k in range(2000)] + [node("ConcatFromSequence", ["q2000"], ["v"], axis=0), mm("v")], [X], [Y], [W])
save("split_sequence", [node("SplitToSequence", ["x", "k"], ["q"], axis=1), node("ConcatFromSequence", ["q"], ["v"], axis=1), mm("v")], [X], [Y], [W, c("k", np.int64(-1))])
save("sequence_map", [node("SequenceConstruct", ["x"], ["q"]), node("SequenceMap", ["q"], ["r"], body=h.make_graph([node("Relu", ["a"], ["b"])], "m", [vi("a", None)], [vi("b", None)])), node("SequenceAt", ["r", "k"], ["v"]), mm("v")], [X], [Y], [W, c("k", np.int64(0))])
save("optional", [node("Optional", ["x"], ["o"]), node("OptionalGetElement", ["o"], ["v"]), mm("v")], [X], [Y], [W])
# bodies
def branch(name, reads): return h.make_graph([node("Relu", [reads], [name + "o"])], name, [], [vi(name + "o", None)])
save("cycle_body", [node("If", ["t"], ["v"], then_branch=branch("a", "u"), else_branch=branch("b", "x")), node("Relu", ["v"], ["u"]), mm("u")], [X], [Y], [W, c("t", np.bool_(True))])
save("cycle_loop", [node("Loop", ["k", "", "x"], ["v"], body=h.make_graph([node("Identity", ["c"], ["co"]), node("Add", ["v", "u"], ["vo"])], "b", [vi("i", t=T.INT64), vi("c", t=T.BOOL), vi("v", None, 6)], [vi("co", t=T.BOOL), vi("vo", None, 6)])), node("Relu", ["v"], ["u"]), mm("u")], [X], [Y], [W, c("k", np.int64(3))])
def deep_if(d): return h.make_graph([node("Relu", ["x"], ["o%d" % d])] if not d else [node("If", ["t"], ["o%d" % d], then_branch=deep_if(d - 1), else_branch=branch("e%d" % d, "x"))], "d%d" % d, [], [vi("o%d" % d, None)])
save("deep_if", [node("If", ["t"], ["v"], then_branch=deep_if(20), else_branch=branch("z", "x")), mm("v")], [X], [Y], [W, c("t", np.bool_(True))])
f = h.make_function("m", "F", ["a"], ["b"], [node("If", ["t"], ["b"], then_branch=h.make_graph([node("F", ["a"], ["q"], domain="m")], "tb", [], [vi("q", None)]), else_branch=h.make_graph([node("Relu", ["a"], ["q2"])], "eb", [], [vi("q2", None)])), node("Constant", [], ["t"], value=nh.from_array(np.bool_(True)))][::-1], [h.make_opsetid("m", 1), h.make_opsetid("", 17)])
save("function_body", [node("F", ["x"], ["v"], domain="m"), mm("v")], [X], [Y], [W], fn=[f], doms=[h.make_opsetid("m", 1)])
fs = [h.make_function("m", "G%d" % i, ["a"], ["b"], [node("G%d" % (i + 1), ["a"], ["t"], domain="m"), node("G%d" % (i + 1), ["t"], ["b"], domain="m")], [h.make_opsetid("m", 1), h.make_opsetid("", 17)]) for i in range(24)]
save("function_24", [node("G0", ["x"], ["v"], domain="m"), mm("v")], [X], [Y], [W], fn=fs + [h.make_function("m", "G24", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [h.make_opsetid("", 17)])], doms=[h.make_opsetid("m", 1)])
# more sizes that attributes and inputs tell
one = lambda *s: np.ones(s, "f4")
for n, nodes, init in (
    ("topk", [node("TopK", ["a", "k"], ["v", "ix"])], [c("a", one(4)), c("k", i64(HUGE))]), ("depth_to_space", [node("DepthToSpace", ["a"], ["v"], blocksize=1 << 31)], [c("a", one(1, 4, 1, 1))]),
    ("space_to_depth", [node("SpaceToDepth", ["a"], ["v"], blocksize=HUGE)], [c("a", one(1, 4, 4, 4))]), ("hann", [node("HannWindow", ["k"], ["v"])], [c("k", np.int64(BIG))]),
    ("mel", [node("MelWeightMatrix", ["k", "k", "r", "a", "b"], ["v"])], [c("k", np.int64(1 << 31)), c("r", np.int64(8000)), c("a", np.float32(0)), c("b", np.float32(4000))]),
    ("dft", [node("DFT", ["a", "k"], ["v"], axis=1)], [c("a", one(1, 8, 1)), c("k", np.int64(BIG))]), ("dft_slow", [node("DFT", ["a"], ["v"], axis=1)], [c("a", one(1, 999983, 1))]),
    ("stft", [node("STFT", ["a", "k", "", "l"], ["v"])], [c("a", one(1, 100000, 1)), c("k", np.int64(1)), c("l", np.int64(50000))]), ("stft_0", [node("STFT", ["a", "k", "", "l"], ["v"])], [c("a", one(1, 100, 1)), c("k", np.int64(0)), c("l", np.int64(50))]),
    ("eye", [node("EyeLike", ["a"], ["v"], k=HUGE)], [c("a", one(3, 3))]), ("cumsum", [node("CumSum", ["a", "k"], ["v"])], [c("a", one(3, 3)), c("k", np.int64(HUGE))]),
    ("trilu", [node("Trilu", ["a", "k"], ["v"])], [c("a", one(3, 3)), c("k", np.int64(-HUGE))]), ("random", [node("RandomNormal", [], ["v"], shape=[BIG])], []),
    ("unpool", [node("MaxUnpool", ["a", "ix", "s"], ["v"], kernel_shape=[2, 2])], [c("a", one(1, 1, 2, 2)), c("ix", np.zeros((1, 1, 2, 2), np.int64)), c("s", i64(1, 1, BIG, BIG))]),
    ("transpose_conv", [node("ConvTranspose", ["a", "k"], ["v"], strides=[1 << 30, 1 << 30])], [c("a", one(1, 1, 8, 8)), c("k", one(1, 1, 3, 3))]), ("conv_slow", [node("Conv", ["a", "k"], ["v"], pads=[300] * 4)], [c("a", one(1, 1, 2000, 2000)), c("k", one(1, 1, 600, 600))]),
    ("pool_slow", [node("MaxPool", ["a"], ["v"], kernel_shape=[900, 900])], [c("a", one(1, 1, 2000, 2000))]), ("split", [node("Split", ["a"], ["v"] + ["r%d" % k for k in range(5)])], [c("a", one(3))]),
    ("crop_pad", [node("CenterCropPad", ["a", "s"], ["v"])], [c("a", one(2, 2)), c("s", i64(BIG, BIG))]), ("affine_grid", [node("AffineGrid", ["a", "s"], ["v"])], [c("a", one(1, 2, 3)), c("s", i64(1, 1, BIG, BIG))]),
    ("grid_sample", [node("GridSample", ["a", "g"], ["v"], mode="cubic")], [c("a", one(1, 1, 2, 2)), c("g", np.full((1, 300, 300, 2), np.inf, "f4"))]), ("col2im", [node("Col2Im", ["a", "s", "b"], ["v"])], [c("a", one(1, 4, 1)), c("s", i64(BIG, BIG)), c("b", i64(2, 2))]),
    ("tile_neg", [node("Tile", ["a", "s"], ["v"])], [c("a", one(2, 2)), c("s", i64(-1, HUGE))]), ("pad_wrap", [node("Pad", ["a", "s"], ["v"])], [c("a", one(2, 2)), c("s", i64(HUGE, HUGE, HUGE, HUGE))]),
    ("expand_rank", [node("Expand", ["a", "s"], ["v"])], [c("a", one(1)), c("s", np.ones(100, np.int64))]), ("reshape_wrap", [node("Reshape", ["a", "s"], ["v"])], [c("a", one(4)), c("s", i64(HUGE, 8, -1))]),
    ("range_neg", [node("Range", ["a", "b", "d"], ["v"])], [c("a", np.int64(-HUGE)), c("b", np.int64(HUGE)), c("d", np.int64(1))]), ("range_0", [node("Range", ["a", "b", "d"], ["v"])], [c("a", np.int64(0)), c("b", np.int64(5)), c("d", np.int64(0))]),
    ("slice_far", [node("Slice", ["a", "s", "e", "x0", "st"], ["v"])], [c("a", one(4)), c("s", i64(-HUGE)), c("e", i64(HUGE)), c("x0", i64(0)), c("st", i64(HUGE))]), ("slice_min", [node("Slice", ["a", "s", "e", "x0", "st"], ["v"])], [c("a", one(4)), c("s", i64(3)), c("e", i64(-(1 << 63))), c("x0", i64(0)), c("st", i64(-(1 << 63)))]),
    ("gather_far", [node("Gather", ["a", "k"], ["v"])], [c("a", one(4)), c("k", i64(HUGE))]), ("scatter_far", [node("ScatterND", ["a", "k", "u"], ["v"])], [c("a", one(4)), c("k", i64([-HUGE])), c("u", one(1))]),
    ("det_slow", [node("Det", ["a"], ["v"])], [c("a", np.random.default_rng(3).random((2500, 2500)).astype("f4"))]), ("unique_slow", [node("Unique", ["a"], ["v"], axis=0)], [c("a", one(3000, 500))]),
    ("matmul_slow", [node("MatMul", ["a", "a"], ["v"])], [c("a", one(4000, 4000))]), ("shift", [node("BitShift", ["a", "b"], ["v"], direction="LEFT")], [c("a", np.array([1], np.uint64)), c("b", np.array([200], np.uint64))]),
    ("mod_0", [node("Mod", ["a", "b"], ["v"])], [c("a", i64(-(1 << 63))), c("b", i64(0))]), ("div_min", [node("Div", ["a", "b"], ["v"])], [c("a", i64(-(1 << 63))), c("b", i64(-1))]), ("pow_far", [node("Pow", ["a", "b"], ["v"])], [c("a", i64(3)), c("b", i64(HUGE))]),
    ("lstm_wide", [node("LSTM", ["a", "ww", "rr"], ["v"], hidden_size=1 << 40)], [c("a", one(2, 1, 3)), c("ww", one(1, 8, 3)), c("rr", one(1, 8, 2))]), ("lstm_slow", [node("LSTM", ["a", "ww", "rr"], ["v"], hidden_size=100)], [c("a", one(200000, 1, 1)), c("ww", one(1, 400, 1)), c("rr", one(1, 400, 100))]),
    ("reverse", [node("ReverseSequence", ["a", "k"], ["v"])], [c("a", one(4, 2)), c("k", i64(HUGE, -1))]), ("compress", [node("Compress", ["a", "k"], ["v"])], [c("a", one(4)), c("k", np.ones(100000, bool))])): huge("size_" + n, nodes, init, opset=18 if n in ("crop_pad",) else 17, v="v")
# much of what a small file asks for: whole arrays by operators that look at elements alone
full = lambda v, *s: [node("ConstantOfShape", ["s"], ["a"], value=nh.from_array(np.array([v])))]
for n, v, s, nodes in (("det", np.float32(0.5), (7000, 7000), [node("Det", ["a"], ["v"])]), ("not", np.bool_(True), (1 << 29,), [node("Not", ["a"], ["v"])]),
                       ("cast", np.uint8(3), (1 << 29,), [node("Cast", ["a"], ["v"], to=T.INT8)]), ("cast_narrow", np.uint8(3), (1 << 29,), [node("Cast", ["a"], ["v"], to=T.UINT4)]),
                       ("erf", np.float16(0.5), (1 << 27,), [node("Erf", ["a"], ["v"])]), ("pow", np.float16(0.5), (1 << 27,), [node("Pow", ["a", "a"], ["v"])]), ("tan", np.float64(0.5), (1 << 26,), [node("Tan", ["a"], ["v"])]),
                       ("topk", np.float32(1), (1 << 26,), [node("TopK", ["a", "s1"], ["v", "ix"])]), ("unique", np.float32(1), (1 << 26,), [node("Unique", ["a"], ["v"])]), ("cumsum", np.uint32(1), (1 << 26,), [node("Cast", ["a"], ["b"], to=T.INT32), node("CumSum", ["b", "z"], ["v"])]),
                       ("transpose", np.uint8(1), (1 << 14, 1 << 15), [node("Transpose", ["a"], ["v"])]), ("argmax", np.float32(1), (1 << 27,), [node("ArgMax", ["a"], ["v"])]), ("softmax", np.float16(1), (1 << 27,), [node("Softmax", ["a"], ["v"])]),
                       ("where", np.bool_(True), (1 << 28,), [node("Where", ["a", "a", "a"], ["v"])]), ("nonzero", np.bool_(True), (1 << 27,), [node("NonZero", ["a"], ["v"])]), ("strings", np.uint8(1), (1 << 26,), [node("Cast", ["a"], ["v"], to=T.STRING)]),
                       ("lrn", np.float32(1), (1, 1 << 13, 64, 64), [node("LRN", ["a"], ["v"], size=(1 << 13) - 1)]), ("reduce", np.float32(1), (1 << 27,), [node("ReduceLogSumExp", ["a"], ["v"], keepdims=0)]),
                       ("quantize", np.float16(1), (1 << 27,), [node("Cast", ["a"], ["b"], to=1), node("DynamicQuantizeLinear", ["b"], ["v", "q1", "q2"])]), ("resize", np.float32(1), (1, 1, 4096, 4096), [node("Resize", ["a", "", "", "s4"], ["v"], mode="cubic")]),
                       ("grid", np.float32(1), (1, 4000, 4000, 2), [node("GridSample", ["im", "a"], ["v"], mode="cubic")]), ("gather", np.int64(1), (1 << 26,), [node("Gather", ["a", "a"], ["v"])]), ("mod", np.uint8(7), (1 << 28,), [node("Mod", ["a", "a"], ["v"])])):
    huge("full_" + n, full(v) + nodes, [c("s", i64(*s)), c("s1", i64(1 << 26)), c("z", np.int64(0)), c("s4", i64(1, 1, 8192, 8192)), c("im", one(1, 1, 8, 8))])
huge("nbits", [node("MatMulNBits", ["x6", "b", "s"], ["v"], domain="com.microsoft", K=HUGE, N=HUGE, bits=4, block_size=16)], [c("x6", one(1, 6)), c("b", np.ones((5, 1, 8), "u1")), c("s", one(5))], doms=MS)
huge("nbits_3", [node("MatMulNBits", ["x6", "b", "s"], ["v"], domain="com.microsoft", K=6, N=5, bits=3, block_size=-16)], [c("x6", one(1, 6)), c("b", np.ones((5, 1, 8), "u1")), c("s", one(5))], doms=MS)
huge("fused_conv", [node("FusedConv", ["a", "k"], ["v"], domain="com.microsoft", activation="Launch")], [c("a", one(1, 1, 3, 3)), c("k", one(1, 1, 2, 2))], doms=MS)
huge("fused_conv_kind", [node("FusedConv", ["a", "k"], ["v"], domain="com.microsoft", activation=3, activation_params="x")], [c("a", one(1, 1, 3, 3)), c("k", one(1, 1, 2, 2))], doms=MS)
save("fused_gemm", [node("FusedGemm", ["x", "w", "", "x"], ["y"], domain="com.microsoft", activation="Relu")], [X], [Y], [W], doms=MS)
huge("softmax_steps", [node("QLinearSoftmax", ["a", "s", "", "s"], ["v"], domain="com.microsoft", opset=-5, axis=1 << 40)], [c("a", np.ones((2, 3), "u1")), c("s", np.float32(0))], doms=MS)
huge("quant_lstm", [node("DynamicQuantizeLSTM", ["a", "ww", "rr", "", "", "", "", "", "s", "z", "s", "z"], ["v"], domain="com.microsoft", hidden_size=1 << 30)], [c("a", one(2, 1, 3)), c("ww", np.ones((1, 3, 8), "i1")), c("rr", np.ones((1, 2, 8), "i1")), c("s", one(1)), c("z", np.zeros(1, "i1"))], doms=MS)
tree = dict(nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LEQ"] * 2 + ["LEAF"], nodes_values=[0.5, 0.5, 0.0], target_treeids=[0], target_nodeids=[2], target_ids=[0], target_weights=[1.0], n_targets=1)
save("tree_cycle", [node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 2, 0], **tree)], [X], [vi("y", "n", 1)], doms=ML)
save("tree_far", [node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_truenodeids=[1, HUGE, 0], nodes_falsenodeids=[2, -1, 0], **tree)], [X], [vi("y", "n", 1)], doms=ML)
save("tree_feature", [node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_truenodeids=[1, 2, 0], nodes_falsenodeids=[2, 2, 0], **dict(tree, nodes_featureids=[HUGE, -1, 0]))], [X], [vi("y", "n", 1)], doms=ML)
save("concat_many", [node("Concat", ["x"] * 65536, ["v"], axis=0), node("Slice", ["v", "z", "o"], ["r"]), mm("r")], [X], [Y], [W, c("z", i64(0)), c("o", i64(1))])
empty = h.make_model(h.make_graph([mm("x")], "nodes", [X], [Y], [W]), opset_imports=[h.make_opsetid("", 17)]).SerializeToString()
open("nodes_empty.onnx", "wb").write(empty + b"\x3a\x80\x80\x80\x05" + b"\x0a\x00" * (5 << 20))      # a graph of nodes that say nothing, joined to the first
open("deep_wire.onnx", "wb").write(empty + b"".join(b"\x3a\xff\xff\xff\x7f" for _ in range(3000)))
# external data
os.makedirs("data", exist_ok=True)
open("data/w.bin", "wb").write(np.ones((6, 3), "f4").tobytes())
for n, to in (("data/link.bin", "/etc/hostname"), ("data/inside.bin", "w.bin"), ("data/circle.bin", "circle.bin")):
    if not os.path.islink(n): os.symlink(to, n)
if not os.path.exists("data/fifo"): os.mkfifo("data/fifo")
def outside(name, location, dims=(6, 3), **more):
    w = T(name="w", data_type=T.FLOAT, dims=dims, data_location=T.EXTERNAL)
    for k, v in dict(location=location, **more).items():
        e = w.external_data.add(); e.key = k; e.value = str(v)
    g = h.make_graph([mm("x")], name, [X], [Y], [w]); open(name + ".onnx", "wb").write(h.make_model(g, opset_imports=[h.make_opsetid("", 17)]).SerializeToString())
outside("ext_ok", "data/w.bin"); outside("ext_beyond", "data/w.bin", offset=1 << 40, length=72); outside("ext_wrap", "data/w.bin", offset=(1 << 64) - 8, length=72); outside("ext_neg", "data/w.bin", offset=-8, length=-1)
outside("ext_long", "data/w.bin", length=1 << 50); outside("ext_huge", "data/w.bin", dims=(1 << 31, 1 << 31)); outside("ext_up", "../../../../etc/hostname"); outside("ext_root", "/etc/hostname"); outside("ext_zero", "/dev/zero", length=72)
outside("ext_link", "data/link.bin"); outside("ext_inside", "data/inside.bin"); outside("ext_circle", "data/circle.bin"); outside("ext_fifo", "data/fifo"); outside("ext_folder", "data"); outside("ext_word", "data/w.bin", offset="12x"); outside("ext_empty", ""); outside("ext_swap", "data/swap.bin")
# many of a kind, each looked up among the others
N=30000
chain=[node('Identity',['x' if not i else f'v{i}'],[f'v{i+1}']) for i in range(N)]+[mm(f'v{N}')]
many=[h.make_function('d',f'F{i}',['a'],['b'],[node('Identity',['a'],['b'])],[h.make_opsetid('',17)]) for i in range(N)]
save('many_functions',chain,[X],[Y],[W],fn=many,doms=[h.make_opsetid('d',1)])
save('many_reversed',chain[::-1],[X],[Y],[W])
save('many_sets',chain,[X],[Y],[W],doms=[h.make_opsetid(f'd{i}',1) for i in range(300000)])
save('many_inputs',[mm('x')],[X]+[vi(f'i{k}','n',6) for k in range(50000)],[Y],[W])
save('many_outputs',[mm('x',f'y{k}') for k in range(N)],[X],[vi(f'y{k}','n',3) for k in range(N)],[W])
save('many_weights',[mm('x')],[X],[Y],[W]+[c(f'w{k}',np.ones(1,'f4')) for k in range(100000)])
save('many_of_a_name',[node('Tanh',['x' if not i else f'v{i}'],[f'v{i+1}'],name='n') for i in range(4000)]+[mm('v4000')],[X],[Y],[W])
save('many_attributes',[node('Tanh',['x'],['t'],**{f'z{k}':1 for k in range(200000)}),mm('t')],[X],[Y],[W])
f=onnx.FunctionProto(name='G',domain='d'); f.input.append('a'); f.output.append('b'); f.opset_import.append(h.make_opsetid('',17))
f.node.append(node('Identity',['a'],['b']))
for k in range(N):
    a=f.attribute_proto.add(name=f'k{k}',type=2,i=1)
    f.node[0].attribute.add(name=f'z{k}',type=2).ref_attr_name=f'k{N-1-k}'
save('many_defaults',[node('G',['x'],['t'],domain='d'),mm('t')],[X],[Y],[W],fn=[f],doms=[h.make_opsetid('d',1)])
